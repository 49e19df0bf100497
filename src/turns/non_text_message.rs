//! Messages that are no text: stickers, polls and shared locations, as a text that describes them.
//!
//! Specification: [stickers][stickers]; [polls][polls]; [live locations][beacons].
//!
//! [stickers]: https://spec.matrix.org/latest/client-server-api/#sticker-messages
//! [polls]: https://github.com/matrix-org/matrix-spec-proposals/pull/3381
//! [beacons]: https://github.com/matrix-org/matrix-spec-proposals/pull/3672

use ruma::events::room::message::RoomMessageEventContent;
use serde_json::{Value, json};

use super::envelope::one_line;

/// The most answers of a poll that are named.
const ANSWERS_MAX: usize = 20;
/// The keys of a poll: of the specification, and of the clients of today.
const POLL_KEYS: [&str; 2] = ["m.poll", "org.matrix.msc3381.poll.start"];
/// The keys of a text in an event that is no message.
const TEXT_KEYS: [&str; 2] = ["m.text", "org.matrix.msc1767.text"];

/// An event of this type as the text message that describes it; `None`: it says nothing.
pub(super) fn as_message(event_type: &str, content: &str) -> Option<RoomMessageEventContent> {
    let content: Value = serde_json::from_str(content).ok()?;
    let body = match event_type {
        "m.sticker" => format!("[sticker: {}]", one_line(content["body"].as_str()?)),
        "m.poll.start" | "org.matrix.msc3381.poll.start" => poll(&content)?,
        _ => location(&content)?,
    };
    let mut message = json!({ "msgtype": "m.text", "body": body });
    for key in ["m.relates_to", "m.mentions"] {
        if let Some(value) = content.get(key) {
            message[key] = value.clone();
        }
    }
    serde_json::from_value(message).ok()
}

fn poll(content: &Value) -> Option<String> {
    let poll = POLL_KEYS.iter().find_map(|key| content.get(key))?;
    let question = text_in(&poll["question"])?;
    let answers = poll["answers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let answers: Vec<_> = answers
        .iter()
        .take(ANSWERS_MAX)
        .filter_map(text_in)
        .collect();
    Some(format!(
        "[poll: {question}; answers: {}]",
        answers.join(", ")
    ))
}

/// That somebody begins to share where they are. The positions that follow are no messages: each would be a turn.
fn location(content: &Value) -> Option<String> {
    if content["live"] != true {
        return None;
    }
    let what = content["description"]
        .as_str()
        .map(one_line)
        .unwrap_or_default();
    Some(format!("[live location: {what}; the positions are not passed on]").replace(": ;", ":"))
}

/// The text of a part of an event, in any of the forms that there are.
fn text_in(part: &Value) -> Option<String> {
    let text = TEXT_KEYS.iter().find_map(|key| match &part[key] {
        Value::String(text) => Some(text.as_str()),
        Value::Array(forms) => forms.iter().find_map(|form| form["body"].as_str()),
        _ => None,
    });
    let text = text.or_else(|| part["body"].as_str())?;
    Some(one_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_described() {
        let poll = json!({
            "question": { "org.matrix.msc1767.text": "Lunch?" },
            "answers": [{ "id": "1", "org.matrix.msc1767.text": "Soup" }, { "id": "2", "m.text": [{ "body": "Rice" }] }],
        });
        for (event_type, content, expected) in [
            (
                "m.sticker",
                json!({ "body": "a cat\nwaves", "url": "mxc://x/y" }),
                Some("[sticker: a cat waves]"),
            ),
            (
                "org.matrix.msc3381.poll.start",
                json!({ "org.matrix.msc3381.poll.start": poll }),
                Some("[poll: Lunch?; answers: Soup, Rice]"),
            ),
            (
                "m.poll.start",
                json!({ "m.poll": poll }),
                Some("[poll: Lunch?; answers: Soup, Rice]"),
            ),
            (
                "m.beacon_info",
                json!({ "live": true, "description": "Ann" }),
                Some("[live location: Ann; the positions are not passed on]"),
            ),
            ("m.beacon_info", json!({ "live": false }), None),
            ("m.sticker", json!({}), None),
            ("m.poll.start", json!([]), None),
        ] {
            let message = as_message(event_type, &content.to_string());
            assert_eq!(
                message.as_ref().map(RoomMessageEventContent::body),
                expected,
                "{content}"
            );
        }
    }
}
