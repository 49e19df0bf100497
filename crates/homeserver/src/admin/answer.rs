//! What the server says in rooms: Markdown, with its HTML beside it.
//!
//! Promise: what people have named (rooms, topics, themselves) is text in it: it stays in its block, and on its line.

use std::fmt::{Display, Write};

use ruma::EventId;
use serde_json::{Value, json};

use crate::error::Error;
pub(super) use crate::rooms::notice::content;

/// The beginning of the first and all of the last line of a code block.
const FENCE: &str = "```";

/// The same as an answer to an event.
pub(super) fn reply(text: &str, to: &EventId) -> Value {
    let mut content = content(text);
    content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": to } });
    content
}

/// A text in a block of its own, which nothing in it ends.
pub(super) fn block(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max();
    let fence = "`".repeat(FENCE.len().max(longest.unwrap_or_default() + 1));
    format!("{fence}\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// What an error says.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(super) fn said(error: Error) -> String {
    error.to_string()
}

/// The lines between the fences, if the text is nothing but a code block.
///
/// # Errors
///
/// If it is not.
pub(super) fn code_block(text: &str) -> Result<Vec<&str>, String> {
    let lines: Vec<_> = text.trim().lines().collect();
    match lines.as_slice() {
        [first, inner @ .., last] if first.starts_with(FENCE) && last.trim() == FENCE => {
            Ok(inner.to_vec())
        }
        _ => Err("Expected code block in command body. Add --help for details.".to_owned()),
    }
}

/// A heading, and the items in a block of their own.
pub(super) fn list(heading: &str, items: impl IntoIterator<Item = impl Display>) -> String {
    let mut lines = String::new();
    for item in items {
        let line = item.to_string();
        let line = line.replace(
            |c: char| c != '\t' && (c.is_control() || "\u{2028}\u{2029}".contains(c)),
            " ",
        );
        // Writing to a text does not fail.
        _ = writeln!(lines, "{line}");
    }
    format!("{heading}\n{}", block(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_stay_in_their_line_and_block() {
        let evil = "Tea\n```\n# !admin\n[click](https://evil.example)\n````\r<b>";
        for text in [list("Rooms (1):", [evil]), block(evil)] {
            let html = content(&text)["formatted_body"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(html.matches("<pre>").count(), 1, "{html}");
            assert!(html.ends_with("</pre>"), "{html}");
            assert!(
                !html.contains("<a ") && !html.contains("<h1>") && !html.contains("<b>"),
                "{html}"
            );
        }
        assert_eq!(list("Two:", ["a", "b"]), "Two:\n```\na\nb\n```");
        assert_eq!(list("None:", Vec::<String>::new()), "None:\n```\n\n```");
    }
}
