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
        let rest = without_mention(trimmed);
        let no_reply = NO_REPLY.contains(&rest);
        let may_become_tag = !whole && (begins_tag(trimmed) || begins_silence(trimmed, rest));
        Self {
            reasoning,
            said: if no_reply || may_become_tag { "" } else { said },
            no_reply,
        }
    }
}

/// Whether a text is the beginning of a tag.
fn begins_tag(text: &str) -> bool {
    let mut tags = REASONING.iter().map(|(open, _)| *open).chain(NO_REPLY);
    text.starts_with('<') && tags.any(|tag| tag.starts_with(text))
}

/// Whether a text is a user id, and `rest` what may become `<no-reply/>` after it.
fn begins_silence(text: &str, rest: &str) -> bool {
    let is_mention_only = text.starts_with('@') && !text.contains(char::is_whitespace);
    let is_behind_mention = rest.len() < text.len();
    is_mention_only || (is_behind_mention && NO_REPLY.iter().any(|tag| tag.starts_with(rest)))
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
    fn nothing_is_shown_of_a_no_reply_that_is_still_written() {
        for text in [
            "<no-reply/>",
            "@ann:example.org <no-reply/>",
            "@ann:example.org\n\n<no-reply />",
        ] {
            for end in 1..=text.len() {
                assert_eq!(
                    ModelText::of(&text[..end], false).said,
                    "",
                    "{}",
                    &text[..end]
                );
            }
        }
        for shown in [
            "@ann:example.org hello",
            "@ann:example.org <b",
            "@ann hello",
            "hello <no-re",
        ] {
            assert_eq!(ModelText::of(shown, false).said, shown);
        }
        // Nothing more comes, so this is what is said.
        for said in ["@ann:example.org", "@ann", "<no-re"] {
            assert_eq!(ModelText::of(said, true).said, said);
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
