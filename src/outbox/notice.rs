//! What the bridge itself says, as the outbox takes it.

use ruma::{RoomId, UserId};

use crate::{
    journal::{NoticeText, OutboxItem, SendId},
    matrix::{
        content::{self, MsgKind, Placement},
        render::{Rendered, render, split},
    },
};

/// The type of what people read.
pub const MESSAGE_TYPE: &str = "m.room.message";

/// A sentence of the bridge, in the name of whoever of us is in the room.
pub fn notice(
    room: &RoomId,
    sender: &UserId,
    placement: Placement,
    text: &NoticeText,
    send_id: SendId,
) -> OutboxItem {
    let rendered = Rendered::plain(text.to_string());
    message(room, sender, placement, (rendered, &text.code), send_id)
}

/// The same for a text in Markdown: in as many messages as it needs, of which the first has the given id.
pub fn markdown_notices(
    room: &RoomId,
    sender: &UserId,
    placement: &Placement,
    text: &NoticeText,
    send_id: &SendId,
) -> Vec<OutboxItem> {
    let parts = split(&text.to_string()).into_iter().enumerate();
    let item = |(index, part): (usize, String)| {
        let send_id = match index {
            0 => send_id.clone(),
            more => send_id.derived(&format!("part{more}")),
        };
        let rendered = (render(&part), text.code.as_str());
        message(room, sender, placement.clone(), rendered, send_id)
    };
    parts.map(item).collect()
}

fn message(
    room: &RoomId,
    sender: &UserId,
    placement: Placement,
    (rendered, code): (Rendered, &str),
    send_id: SendId,
) -> OutboxItem {
    let content = content::message(rendered, MsgKind::Notice, placement, [], send_id.as_str());
    let content = content::with_code(content, code);
    OutboxItem {
        room: room.to_owned(),
        sender: sender.to_owned(),
        event_type: MESSAGE_TYPE.to_owned(),
        send_id,
        // A `Value` has only text keys, so it can always be written.
        content: serde_json::value::to_raw_value(&content).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};
    use serde_json::Value;

    use super::*;
    use crate::matrix::{content::CODE_KEY, render::EVENT_BYTES_MAX};

    fn said(text: &str, code: &str) -> Vec<(String, Value)> {
        let (room, bot) = (room_id!("!room:x"), user_id!("@letta:x"));
        let top = Placement::Room { reply_to: None };
        let text = NoticeText::new(text, code);
        let items = markdown_notices(room, bot, &top, &text, &SendId::of(&["answer"]));
        let read = |item: &OutboxItem| serde_json::from_str(item.content.get()).expect("content");
        items
            .iter()
            .map(|item| (item.send_id.to_string(), read(item)))
            .collect()
    }

    #[test]
    fn long_text_is_said_in_several_messages_with_nothing_left_out() {
        for line in ["* **agent** is called `a`\n", "| a | b |\n", "word ", "x"] {
            let text = line.repeat(4 * EVENT_BYTES_MAX / line.len());
            let parts = said(&text, "LIST");
            assert!(parts.len() > 2, "{line:?}");
            let ids: std::collections::BTreeSet<_> = parts.iter().map(|part| &part.0).collect();
            assert_eq!(ids.len(), parts.len(), "every part has an id of its own");
            assert_eq!(parts[0].0, SendId::of(&["answer"]).to_string());
            let mut letters = 0;
            for (_, content) in &parts {
                let body = content["body"].as_str().expect("a body");
                assert!(content.to_string().len() <= EVENT_BYTES_MAX);
                assert_eq!(content[CODE_KEY], "LIST");
                letters += body.chars().filter(|c| c.is_alphabetic()).count();
            }
            let all = text.chars().filter(|c| c.is_alphabetic()).count();
            assert!(letters >= all, "{line:?}: {letters} of {all}");
        }
        assert_eq!(said("Stopped.", "").len(), 1);
        assert!(said("Stopped.", "")[0].1.get(CODE_KEY).is_none());
    }
}
