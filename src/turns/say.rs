//! How a turn's words become events: pure, from text to frozen messages.

use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde_json::{Value, value::RawValue};

use crate::{
    journal::{Answer, OutboxItem, SendId, TurnRecord},
    matrix::{
        content::{self, MsgKind, Placement},
        render::{EVENT_BYTES_MAX, Rendered, render, split},
    },
};

/// The type of every message that a turn sends.
pub const EVENT_TYPE: &str = "m.room.message";

/// Says what belongs to one turn, as the agent's ghost, to whoever asked.
#[derive(Clone, Debug)]
pub struct Voice {
    /// The agent's ghost.
    pub ghost: OwnedUserId,
    /// Who is told by a mention; empty where a mention would ring for every answer.
    pub mentions: Vec<OwnedUserId>,
}

impl Voice {
    /// The first part of an answer, as a new message. `text` is what one message holds.
    pub fn first(&self, turn: &TurnRecord, text: &str) -> OutboxItem {
        self.part(turn, 0, text)
    }

    /// The content of an edit that shows `text`, which one message holds, in place of `original`.
    pub fn edit(&self, original: &EventId, text: &str, send_id: &SendId) -> Box<RawValue> {
        let rendered = render(text);
        let mentions = self.mentions.clone();
        freeze(&content::edit(
            original,
            rendered,
            MsgKind::Text,
            mentions,
            send_id.as_str(),
        ))
    }

    /// A remark about the turn.
    pub fn remark(&self, turn: &TurnRecord, kind: &str, text: &str) -> OutboxItem {
        let send_id = turn.id.remark(kind);
        let rendered = Rendered::plain(text);
        let content = content::message(
            rendered,
            MsgKind::Notice,
            placement(turn),
            [],
            send_id.as_str(),
        );
        self.item(turn, send_id, &content)
    }

    /// Everything that is still to be said at the end of a turn. `first` is the event that shows
    /// the first part, if there is one; `complete` says that it shows the whole first part.
    pub fn conclusion(
        &self,
        turn: &TurnRecord,
        answer: &Answer,
        first: Option<&EventId>,
        complete: bool,
    ) -> Vec<OutboxItem> {
        let mut items = Vec::new();
        let parts = if answer.text.is_empty() {
            Vec::new()
        } else {
            split(&answer.text)
        };
        for (index, text) in parts.iter().enumerate() {
            match first {
                Some(_) if index == 0 && complete => {}
                Some(event) if index == 0 => {
                    let send_id = turn.id.last_edit();
                    let content = self.edit(event, text, &send_id);
                    items.push(OutboxItem {
                        room: turn.key.room.clone(),
                        sender: self.ghost.clone(),
                        event_type: EVENT_TYPE.to_owned(),
                        send_id,
                        content,
                    });
                }
                _ => items.push(self.part(turn, index, text)),
            }
        }
        if let Some(remark) = &answer.remark {
            items.push(self.remark(turn, "end", remark));
        }
        items
    }

    fn part(&self, turn: &TurnRecord, index: usize, text: &str) -> OutboxItem {
        let send_id = turn.id.part(index);
        let mentions = if index == 0 {
            self.mentions.clone()
        } else {
            Vec::new()
        };
        let content = content::message(
            render(text),
            MsgKind::Text,
            placement(turn),
            mentions,
            send_id.as_str(),
        );
        self.item(turn, send_id, &content)
    }

    fn item(&self, turn: &TurnRecord, send_id: SendId, content: &Value) -> OutboxItem {
        OutboxItem {
            room: turn.key.room.clone(),
            sender: self.ghost.clone(),
            event_type: EVENT_TYPE.to_owned(),
            send_id,
            content: freeze(content),
        }
    }
}

/// The part of a text that its first message shows.
pub(super) fn first_part(text: &str) -> String {
    // No part is longer, and what comes after it does not change it.
    let start = &text[..text.floor_char_boundary(EVENT_BYTES_MAX)];
    split(start).into_iter().next().unwrap_or_default()
}

/// Where the answer stands: where the question came from, as a reply to its last message.
fn placement(turn: &TurnRecord) -> Placement {
    let reply_to: Option<OwnedEventId> = turn.prompts.last().map(|prompt| prompt.event_id.clone());
    match &turn.key.thread {
        Some(root) => Placement::Thread {
            root: root.clone(),
            reply_to,
        },
        None => Placement::Room { reply_to },
    }
}

/// Content as it is written down and sent.
pub fn freeze(content: &Value) -> Box<RawValue> {
    // A `Value` has only text keys, so it can always be written.
    serde_json::value::to_raw_value(content).unwrap_or_default()
}

#[cfg(test)]
mod tests;
