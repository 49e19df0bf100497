//! What the server says in rooms: Markdown, with its HTML beside it.
//!
//! Promise: what people have named (rooms, topics, themselves) is text in it: it stays in its block, and on its line.

use std::fmt::{Display, Write};

use pulldown_cmark::{Options, Parser, html};
use ruma::EventId;
use serde_json::{Value, json};

use crate::limits::ADMIN_ANSWER_MAX_BYTES;

/// The most that text and HTML can have together as JSON, in bytes. The rest of an event's 65,536 is for what the server adds.
const CONTENT_MAX_BYTES: usize = 56_000;

/// The beginning of the first and all of the last line of a code block.
const FENCE: &str = "```";

/// The content of a message with this text, or with as much of it as an event holds. HTML and JSON make of one character up to six
/// bytes: what is too long with HTML is sent without.
pub fn content(text: &str) -> Value {
    let mut text = cut(text, ADMIN_ANSWER_MAX_BYTES);
    let content = formatted(text);
    if json_bytes(&content) <= CONTENT_MAX_BYTES {
        return content;
    }
    loop {
        let content = json!({ "msgtype": "m.notice", "body": text });
        if json_bytes(&content) <= CONTENT_MAX_BYTES {
            return content;
        }
        text = cut(text, text.len() / 2);
    }
}

fn json_bytes(content: &Value) -> usize {
    content.to_string().len()
}

fn formatted(text: &str) -> Value {
    let mut formatted = String::new();
    html::push_html(
        &mut formatted,
        Parser::new_ext(text, Options::ENABLE_TABLES),
    );
    json!({
        "msgtype": "m.notice",
        "body": text,
        "format": "org.matrix.custom.html",
        "formatted_body": formatted.trim_end(),
    })
}

/// The same as an answer to an event.
pub fn reply(text: &str, to: &EventId) -> Value {
    let mut content = content(text);
    content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": to } });
    content
}

/// A text in a block of its own, which nothing in it ends.
pub fn block(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max();
    let fence = "`".repeat(FENCE.len().max(longest.unwrap_or_default() + 1));
    format!("{fence}\n{}\n{fence}", text.trim_end_matches('\n'))
}

fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The lines between the fences, if the text is nothing but a code block.
///
/// # Errors
///
/// If it is not.
pub fn code_block(text: &str) -> Result<Vec<&str>, String> {
    let lines: Vec<_> = text.trim().lines().collect();
    match lines.as_slice() {
        [first, inner @ .., last] if first.starts_with(FENCE) && last.trim() == FENCE => {
            Ok(inner.to_vec())
        }
        _ => Err("Expected code block in command body. Add --help for details.".to_owned()),
    }
}

/// A heading, and the items in a block of their own.
pub fn list(heading: &str, items: impl IntoIterator<Item = impl Display>) -> String {
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
    fn answer_of_characters_that_grow_fits_an_event() {
        for character in ["<", "&", "\"", "\u{1}", "\na", "`", "é"] {
            let text = block(&character.repeat(100_000));
            let content = content(&text);
            let bytes = json_bytes(&content);
            assert!(bytes <= CONTENT_MAX_BYTES, "{character:?}: {bytes} bytes");
            let body = content["body"].as_str().unwrap();
            assert!(text.starts_with(body) && body.len() > CONTENT_MAX_BYTES / 12);
        }
    }

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
