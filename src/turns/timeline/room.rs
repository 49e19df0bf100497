//! A room as a client reads it back from the events that were sent, with the clock on its wall.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use ruma::OwnedEventId;
use serde_json::Value;

/// A message as a client shows it.
pub(super) struct Message {
    at: Duration,
    sender: String,
    pub(super) text: String,
    pub(super) notice: bool,
    replies_to: Option<String>,
    /// When each edit came, and the text from then on.
    pub(super) edits: Vec<(Duration, String)>,
}

impl Message {
    /// What it shows after all edits.
    pub(super) fn shown(&self) -> &str {
        self.edits.last().map_or(&self.text, |(_, text)| text)
    }
}

/// A room, with the clock on its wall.
#[derive(Default)]
pub(super) struct Room {
    pub(super) messages: Vec<Message>,
    by_event: HashMap<String, usize>,
    /// How many reactions are offered under cards.
    pub(super) choices: usize,
}

impl Room {
    /// The homeserver takes an event and answers with its id.
    pub(super) fn take(
        &mut self,
        at: Duration,
        sender: &str,
        send_id: &str,
        content: &Value,
    ) -> OwnedEventId {
        let words = crate::matrix::content::body_and_code;
        let relation = &content["m.relates_to"];
        if relation["rel_type"] == "m.replace" {
            let original = relation["event_id"].as_str().expect("an original");
            let index = self.by_event[original];
            let text = words(&content["m.new_content"]);
            self.messages[index].edits.push((at, text));
        } else {
            self.by_event
                .insert(format!("${send_id}"), self.messages.len());
            self.messages.push(Message {
                at,
                sender: sender.to_owned(),
                text: words(content),
                notice: content["msgtype"] == "m.notice",
                replies_to: relation["m.in_reply_to"]["event_id"]
                    .as_str()
                    .map(str::to_owned),
                edits: Vec::new(),
            });
        }
        format!("${send_id}").try_into().expect("an event id")
    }

    /// A person writes something.
    pub(super) fn hear(&mut self, at: Duration, person: &str, event: &OwnedEventId, text: &str) {
        self.by_event.insert(event.to_string(), self.messages.len());
        self.messages.push(Message {
            at,
            sender: person.to_owned(),
            text: text.to_owned(),
            notice: false,
            replies_to: None,
            edits: Vec::new(),
        });
    }

    /// One line a message, and under it one line an edit; of many edits only the first and last.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        for message in &self.messages {
            let last = message.shown();
            // The bridge's own sentences are short, and every word of them counts.
            let last = if message.notice {
                &last.replace('\n', "⏎")
            } else {
                &shorten(last)
            };
            let notice = if message.notice { " notice" } else { "" };
            let replies = message.replies_to.as_deref();
            let replies = replies.map_or(String::new(), |event| format!(" to {event}"));
            let edits = match message.edits.len() {
                0 => String::new(),
                1 => ", 1 edit".to_owned(),
                edits => format!(", {edits} edits"),
            };
            writeln!(
                out,
                "{} {}{notice}{replies}{edits}: {}",
                clock(message.at),
                message.sender,
                last
            )
            .expect("text");
            let growth = [(message.at, message.text.clone())];
            let growth: Vec<_> = growth.iter().chain(&message.edits).collect();
            for (index, (at, text)) in growth.iter().enumerate() {
                let left_out = growth.len() > 8 && (4..growth.len() - 3).contains(&index);
                if left_out && index == 4 {
                    writeln!(out, "  …").expect("text");
                }
                if growth.len() > 1 && !left_out {
                    writeln!(out, "  {} {}", clock(*at), shorten(text)).expect("text");
                }
            }
        }
        out
    }
}

fn clock(at: Duration) -> String {
    format!("{:.2}s", at.as_secs_f64())
}

/// A text on one line, its middle left out if it is long.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 72;
    let text = text.replace('\n', "⏎");
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= CHARS_MAX {
        return text;
    }
    let start: String = chars[..CHARS_MAX / 2].iter().collect();
    let end: String = chars[chars.len() - CHARS_MAX / 4..].iter().collect();
    format!("{start}… ({} characters) …{end}", chars.len())
}
