//! Names that read alike: pure.
//!
//! Letta lets agents be called anything. One that is called like a person of the homeserver, like the bot, or like a user id is
//! shown as `Ada (agent)`, so that nobody takes it for somebody else. What reads alike is decided by the [confusables] of Unicode.
//!
//! [confusables]: https://www.unicode.org/reports/tr39/#Confusable_Detection

use unicode_security::skeleton;

use crate::{journal::AgentRecord, matrix::untrusted_text};

/// What stands behind a name that somebody else has.
const MARK: &str = " (agent)";

/// The name of an agent as Matrix shows it.
pub fn shown_name(record: &AgentRecord) -> String {
    if record.is_lookalike {
        format!("{}{MARK}", record.name)
    } else {
        record.name.clone()
    }
}

/// What is left of a name when all differences that a reader may miss are gone: case, spaces, what cannot be seen, and characters
/// that look like others. Names that read alike have the same.
pub fn confusable_key(name: &str) -> String {
    // Small letters first: a capital I looks like an l, but its small one does not.
    let fold = |text: &str| -> String {
        skeleton(&text.to_lowercase())
            .filter(|c| !c.is_whitespace())
            .collect()
    };
    fold(&untrusted_text::name(name))
}

/// What a name looks like in plain letters: under this, too, the homeserver may know somebody who is called so. Most names are that
/// already.
pub fn plainly(name: &str) -> String {
    let plain = |c: char| -> String {
        if c.is_ascii() {
            c.to_string()
        } else {
            skeleton(c.encode_utf8(&mut [0; 4])).collect()
        }
    };
    name.chars().map(plain).collect()
}

/// Whether a name could be read as one of `taken`, or as a user id.
pub fn is_lookalike<'a>(name: &str, taken: impl IntoIterator<Item = &'a str>) -> bool {
    let own = confusable_key(name);
    // Nothing to be mistaken in.
    if own.is_empty() {
        return false;
    }
    let is_user_id = own.starts_with('@') && own.contains(':');
    let bare = own.strip_prefix('@').unwrap_or(&own);
    is_user_id || taken.into_iter().any(|taken| confusable_key(taken) == bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_looked_for_as_they_are() {
        assert_eq!(plainly("Ada (demo) 1"), "Ada (demo) 1");
        assert_eq!(plainly("\u{41c}\u{430}r\u{456}\u{430}"), "Maria");
    }

    #[test]
    fn names_that_read_alike_are_found() {
        let taken = ["Ada Lovelace", "admin", "Paul"];
        for name in [
            "Ada Lovelace",
            "ada lovelace",
            "AdaLovelace",
            "Ad\u{430} Lovelace",
            "A\u{200b}da\u{a0}Lovelace",
            "\u{202e}Ada Lovelace",
            "ADMIN",
            "@admin",
            "\u{430}dm\u{456}n",
            "\u{ff21}dmin",
            "P\u{430}ul",
            "@somebody:example.org",
        ] {
            assert!(is_lookalike(name, taken), "{name:?}");
        }
        for name in [
            "Ada",
            "Grace Hopper",
            "administrator",
            "Paula",
            "",
            "\u{200b}",
        ] {
            assert!(!is_lookalike(name, taken), "{name:?}");
        }
    }
}
