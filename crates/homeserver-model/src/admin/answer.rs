//! What the server says in rooms: Markdown, with its HTML beside it.
//!
//! Promise: what people have named (rooms, topics, themselves) is text in it: it stays in its block, and on its line.

use std::fmt::{Display, Write};

use pulldown_cmark::{Options, Parser, html};
use ruma::EventId;
use serde_json::{Value, json};

use crate::limits::{ADMIN_ANSWER_MAX_BYTES, ADMIN_ANSWER_MESSAGES_MAX};

/// The most that text and HTML can have together as JSON, in bytes. The rest of an event's 65,536 is for what the server adds.
const CONTENT_MAX_BYTES: usize = 56_000;

/// The least of a line that stands in one message, in bytes, so that every message has some of it.
const MIN_PART_BYTES: usize = 64;
/// A line of backticks that takes more than this part of a message is text: it is not opened again in the next one.
const LONGEST_FENCE_SHARE: usize = 8;

/// The beginning of the first and all of the last line of a code block.
const FENCE: &str = "```";

/// The content of a message with this text, or with as much of it as an event holds.
pub fn content(text: &str) -> Value {
    let mut all = contents(text).into_iter();
    all.next().unwrap_or_else(|| plain(""))
}

/// The contents of the messages with this text: as many as it takes. A text is split at the ends of its lines, and a code block goes on
/// as one in the next message. HTML and JSON make of one character up to six bytes: what is too long with HTML is sent without.
pub fn contents(text: &str) -> Vec<Value> {
    let mut max_bytes = ADMIN_ANSWER_MAX_BYTES;
    let fits = |part: &String| json_bytes(&plain(part)) <= CONTENT_MAX_BYTES;
    let mut parts = split(text, max_bytes);
    while !parts.iter().all(fits) {
        max_bytes /= 2;
        parts = split(text, max_bytes);
    }
    if parts.len() > ADMIN_ANSWER_MESSAGES_MAX {
        let left_out = parts.split_off(ADMIN_ANSWER_MESSAGES_MAX - 1);
        let bytes: usize = left_out.iter().map(String::len).sum();
        parts.push(format!(
            "The answer goes on for {bytes} bytes, which are left out. Ask for less at a time."
        ));
    }
    let with_html = |part: &String| {
        let content = formatted(part);
        if json_bytes(&content) <= CONTENT_MAX_BYTES {
            content
        } else {
            plain(part)
        }
    };
    parts.iter().map(with_html).collect()
}

/// The text in parts of at most so many bytes.
fn split(text: &str, max_bytes: usize) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    // The line that opened the block in which the next line stands.
    let mut block: Option<&str> = None;
    let mut is_empty = true;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let fence = block.map(fence_of).unwrap_or_default();
            let room = max_bytes.saturating_sub(part.len() + fence.len() + 1);
            if rest.len() <= room {
                part.push_str(rest);
                rest = "";
            } else if is_empty {
                let (begin, end) = rest.split_at(cut(rest, room.max(MIN_PART_BYTES)).len());
                part.push_str(begin);
                rest = end;
            } else {
                close(&mut part, fence);
                parts.push(std::mem::take(&mut part));
                part.extend(block.map(|opens| format!("{opens}\n")));
                is_empty = true;
                continue;
            }
            is_empty = false;
        }
        block = match block {
            Some(opens) if line.trim_end() == fence_of(opens) => None,
            Some(opens) => Some(opens),
            None => Some(line.trim_end()).filter(|line| {
                line.starts_with(FENCE) && line.len() <= max_bytes / LONGEST_FENCE_SHARE
            }),
        };
    }
    parts.push(part);
    parts
}

/// The backticks at the beginning of a line.
fn fence_of(line: &str) -> &str {
    let rest = line.trim_start_matches('`');
    &line[..line.len() - rest.len()]
}

fn close(part: &mut String, fence: &str) {
    if !fence.is_empty() {
        if !part.ends_with('\n') {
            part.push('\n');
        }
        part.push_str(fence);
    }
}

fn plain(text: &str) -> Value {
    json!({ "msgtype": "m.notice", "body": text })
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
pub fn replies(text: &str, to: &EventId) -> Vec<Value> {
    let mut contents = contents(text);
    for content in &mut contents {
        content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": to } });
    }
    contents
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn long_answer_is_split_and_nothing_of_it_is_lost() {
        let lines: Vec<String> = (0..9_000).map(|line| format!("line {line}")).collect();
        for character in ["<", "&", "\"", "\u{1}", "a", "`", "é", "\u{2028}"] {
            let long = character.repeat(100_000);
            for text in [
                block(&long),
                block(&lines.join("\n")),
                long.clone(),
                list("Heading", &lines),
            ] {
                let contents = contents(&text);
                assert!(contents.len() > 1);
                let mut joined = String::new();
                for content in &contents {
                    let bytes = json_bytes(content);
                    assert!(bytes <= CONTENT_MAX_BYTES, "{character:?}: {bytes} bytes");
                    let body = content["body"].as_str().unwrap();
                    joined.push_str(body.trim_matches(['`', '\n']));
                    joined.push('\n');
                    let html = content["formatted_body"].as_str().unwrap_or_default();
                    assert_eq!(
                        html.matches("<pre>").count(),
                        html.matches("</pre>").count()
                    );
                }
                let shown: BTreeSet<&str> = joined.lines().collect();
                let lost = text
                    .lines()
                    .find(|line| line.starts_with("line ") && !shown.contains(line));
                assert_eq!(lost, None);
                let count = |text: &str| text.matches(character).count();
                assert!(
                    character == "`" || count(&joined) >= count(&text),
                    "{character:?}"
                );
            }
        }
    }

    #[test]
    fn answer_without_end_says_what_it_leaves_out() {
        let contents =
            contents(&"word\n".repeat(2 * ADMIN_ANSWER_MESSAGES_MAX * ADMIN_ANSWER_MAX_BYTES / 5));
        assert_eq!(contents.len(), ADMIN_ANSWER_MESSAGES_MAX);
        let last = contents.last().unwrap()["body"].as_str().unwrap();
        assert!(last.contains("bytes, which are left out"), "{last}");
    }

    #[test]
    fn short_answer_is_one_message_as_it_is() {
        for text in ["", "Pong!", "a\n```\nb\n```\nc\n"] {
            let contents = contents(text);
            assert_eq!(contents.len(), 1);
            assert_eq!(contents[0]["body"], text);
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
