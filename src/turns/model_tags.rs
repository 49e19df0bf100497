//! Tags that models write into their text: `<think>…</think>` around their reasoning, and `<no-reply/>` when they have nothing to say.
//!
//! Only where models put them: a message that begins with its reasoning, and one that is nothing but `<no-reply/>`. A text that
//! explains the tags keeps them.

/// The tags around reasoning.
const REASONING: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];
/// What a model writes when it has nothing to say.
const NO_REPLY: [&str; 2] = ["<no-reply/>", "<no-reply />"];

/// A message of a model by what it is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModelText<'a> {
    /// What it thought.
    pub reasoning: &'a str,
    /// What it says.
    pub said: &'a str,
    /// Whether it wants to say nothing.
    pub no_reply: bool,
}

impl<'a> ModelText<'a> {
    /// Reads a message. `whole`: nothing more comes, so the beginning of a tag is text.
    pub(super) fn of(text: &'a str, whole: bool) -> Self {
        let (reasoning, said) = without_reasoning(text);
        let trimmed = said.trim();
        let no_reply = NO_REPLY.contains(&without_mention(trimmed));
        let tags = REASONING.iter().map(|(open, _)| *open).chain(NO_REPLY);
        let is_begun_tag = !whole
            && trimmed.starts_with('<')
            && tags.into_iter().any(|tag| tag.starts_with(trimmed));
        Self {
            reasoning,
            said: if no_reply || is_begun_tag { "" } else { said },
            no_reply,
        }
    }
}

/// The reasoning at the beginning, and what comes after it.
fn without_reasoning(text: &str) -> (&str, &str) {
    let start = text.trim_start();
    for (open, close) in REASONING {
        if let Some(rest) = start.strip_prefix(open) {
            return rest.split_once(close).unwrap_or((rest, ""));
        }
        // Some servers put the first tag into the prompt, so that only the last one is written.
        let unopened = text.split_once(close).filter(|(before, after)| {
            let is_alone = before.trim_end_matches(' ').ends_with('\n') && after.starts_with('\n');
            is_alone && !before.contains(open) && !before.contains('`')
        });
        if let Some((before, after)) = unopened {
            return (before, after);
        }
    }
    ("", text)
}

/// The text without the user id at its beginning, which some models write before their answer.
fn without_mention(text: &str) -> &str {
    match text.split_once(char::is_whitespace) {
        Some((id, rest)) if id.starts_with('@') && id.contains(':') => rest.trim_start(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (&str, &str, bool) {
        let read = ModelText::of(text, true);
        (read.reasoning.trim(), read.said.trim(), read.no_reply)
    }

    #[test]
    fn reasoning_is_what_a_message_begins_with() {
        for (text, expected) in [
            ("<think>Hm.</think>Yes.", ("Hm.", "Yes.", false)),
            ("\n<think>\nHm.\n</think>\n\nYes.", ("Hm.", "Yes.", false)),
            ("<thinking>a</thinking> b", ("a", "b", false)),
            ("<think>cut off", ("cut off", "", false)),
            ("Hm.\n</think>\n\nYes.", ("Hm.", "Yes.", false)),
            (
                "Models write <think>a</think>.",
                ("", "Models write <think>a</think>.", false),
            ),
            ("`<think>` opens", ("", "`<think>` opens", false)),
            (
                "```\na\n</think>\n```",
                ("", "```\na\n</think>\n```", false),
            ),
            ("<thinker>", ("", "<thinker>", false)),
            ("<", ("", "<", false)),
            ("", ("", "", false)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn no_reply_is_a_message_that_is_nothing_else() {
        for text in [
            "<no-reply/>",
            " <no-reply />\n",
            "@ann:example.org <no-reply/>",
            "<think>Hm.</think>\n<no-reply/>",
        ] {
            let (_, said, no_reply) = read(text);
            assert_eq!((said, no_reply), ("", true), "{text}");
        }
        for text in ["<no-reply/> but", "Write `<no-reply/>`.", "ann <no-reply/>"] {
            assert_eq!(read(text), ("", text, false));
        }
    }

    #[test]
    fn begun_tag_waits_for_its_end() {
        for text in [
            "<",
            "<thi",
            "<think>",
            "<no-re",
            "<no-reply/>",
            "<thinking>a",
        ] {
            assert_eq!(ModelText::of(text, false).said, "", "{text}");
        }
        for text in ["<b", "a <thi", "< think>"] {
            assert_eq!(ModelText::of(text, false).said, text);
        }
    }
}
