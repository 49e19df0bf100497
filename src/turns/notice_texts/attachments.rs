//! What people hear of what they have shown to an agent.

use crate::{journal::NoticeText, matrix::untrusted_text};

/// How much of a file's name is shown, in characters.
const NAME_CHARS_MAX: usize = 80;

/// A file cannot be shown to the agent.
pub fn not_shown(name: &str, why: &str, code: &str) -> NoticeText {
    let sentence = format!(
        "The agent was told of {}, but could not be shown it: {why}.",
        untrusted_text::inline_start(name, NAME_CHARS_MAX)
    );
    NoticeText::new(sentence, code)
}

/// The agent's model takes no pictures.
pub fn no_pictures() -> NoticeText {
    NoticeText::new(
        "The model of this agent takes no pictures: it is told their names and captions only. An admin can give it a model that \
         sees.",
        "NO_PICTURES",
    )
    .for_admin()
}
