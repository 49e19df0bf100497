//! Filters of `/sync` and of pages of a room, as they come in a request and as they are stored.
//!
//! Invariants: no filter panics; what is excluded stays out, also where it is included; a type is like a pattern where the plainest
//! glob says so; a stored filter reads the same after it was written; the fields that are given are fields of the event, and given
//! the same a second time.

use homeserver_model::{
    filter::{
        self, FilterSubject,
        fields::{ENVELOPE, Fields},
    },
    json,
};
use ruma::{
    CanonicalJsonValue, OwnedRoomId, OwnedUserId,
    api::client::filter::{FilterDefinition, RoomEventFilter},
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::{Target, glob};

/// See the module.
pub const TARGET: Target = Target {
    name: "filters",
    check,
    wrap,
    words: &[
        r#""not_types":["m.room.*"]"#,
        r#""types":["m.*"]"#,
        r#""not_senders":["@alice:example.org"]"#,
        r#""rooms":["!room:example.org"]"#,
        r#""not_rooms":["!room:example.org"]"#,
        r#""event_fields":["content.body"]"#,
        r#""contains_url":true"#,
        r#""lazy_load_members":true"#,
        r#""limit":9007199254740991"#,
        r#""timeline":{}"#,
        "m.room.message",
        r"content.m\\.relates_to",
        "*",
        "\\\\",
    ],
};

/// The longest pattern and type, in bytes, that are compared with the plainest glob, which takes long.
const COMPARED_BYTES_MAX: usize = 200;

/// What an input is: a filter, and what meets it.
#[derive(Deserialize)]
struct Input {
    filter: Box<RawValue>,
    event: Meets,
}

/// An event, as far as filters look at it.
#[derive(Deserialize)]
struct Meets {
    #[serde(rename = "type")]
    kind: String,
    sender: OwnedUserId,
    room_id: OwnedRoomId,
    content: Box<RawValue>,
}

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let Ok(Input { filter, event }) = serde_json::from_slice::<Input>(data) else {
        return;
    };
    if json::check(filter.get().as_bytes()).is_err() {
        return;
    }
    let Ok(filter) = serde_json::from_str::<FilterDefinition>(filter.get()) else {
        return;
    };
    for part in [&filter.room.timeline, &filter.room.state] {
        room_events(part, &event);
    }
    for part in [&filter.room.ephemeral, &filter.room.account_data] {
        let wants = filter::wants_in_room(part, &event.room_id, &event.kind);
        let excluded = part.not_rooms.contains(&event.room_id)
            || part
                .not_types
                .iter()
                .any(|like| filter::type_matches(like, &event.kind));
        assert!(!(wants && excluded), "something excluded came in");
    }
    let wants = filter::wants_room(&filter.room, &event.room_id);
    assert!(!(wants && filter.room.not_rooms.contains(&event.room_id)));
    for part in [&filter.presence, &filter.account_data] {
        let passes = filter::matches_non_room(part, &event.kind, Some(&event.sender));
        assert!(!(passes && part.not_senders.contains(&event.sender)));
    }
    stored(&filter);
    fields(&filter, &event);
}

fn room_events(filter: &RoomEventFilter, event: &Meets) {
    let seen = FilterSubject {
        room_id: &event.room_id,
        sender: &event.sender,
        kind: &event.kind,
        content: &event.content,
    };
    let passes = filter::matches(filter, &seen);
    let excluded = filter.not_rooms.contains(&event.room_id)
        || filter.not_senders.contains(&event.sender)
        || filter
            .not_types
            .iter()
            .any(|like| filter::type_matches(like, &event.kind));
    assert!(!(passes && excluded), "something excluded came in");
    let types = filter.types.iter().flatten().chain(&filter.not_types);
    for pattern in types {
        if pattern.len().max(event.kind.len()) <= COMPARED_BYTES_MAX {
            let like = filter::type_matches(pattern, &event.kind);
            let plain = glob::matches(pattern, &event.kind, false);
            assert_eq!(like, plain, "{pattern:?} {:?}", event.kind);
        }
    }
}

/// A filter is stored as JSON and read from it.
fn stored(filter: &FilterDefinition) {
    let once = serde_json::to_value(filter).expect("a filter can be written");
    let read: FilterDefinition =
        serde_json::from_value(once.clone()).expect("what was written can be read");
    let twice = serde_json::to_value(&read).expect("a filter can be written");
    assert_eq!(once, twice, "a stored filter does not stay the same");
}

fn fields(filter: &FilterDefinition, event: &Meets) {
    let Ok(content) = serde_json::from_str::<Value>(event.content.get()) else {
        return;
    };
    // What is no canonical JSON is in no event: a number with a fraction is not always the same once it was written and read.
    if CanonicalJsonValue::try_from(content.clone()).is_err() {
        return;
    }
    let event = serde_json::json!({
        "type": event.kind, "sender": event.sender, "room_id": event.room_id,
        "event_id": "$1", "origin_server_ts": 1, "content": content,
    });
    let fields = Fields::read(filter.event_fields.as_deref());
    let whole = to_raw_value(&event).expect("an event can be written");
    let given = fields.only(Raw::<Value>::from_json(whole));
    let given = given.expect("an event is an object");
    let value: Value = given.deserialize().expect("what is given is JSON");
    assert!(is_within(&value, &event), "{value} is not of {event}");
    for name in ENVELOPE {
        assert_eq!(value.get(name), event.get(name), "{name} is missing");
    }
    let again = fields.only(given.clone()).expect("an event is an object");
    let again: Value = again.deserialize().expect("what is given is JSON");
    assert_eq!(again, value, "not the same a second time");
}

/// Whether all that is in `part` is in `whole`, at the same place.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, inner)| whole.get(name).is_some_and(|outer| is_within(inner, outer))),
        _ => part == whole,
    }
}

fn wrap(text: &str) -> Vec<u8> {
    let part = serde_json::json!({ "types": [text], "not_types": [text, "*"] });
    let input = serde_json::json!({
        "filter": {
            "event_fields": [text, format!("content.{text}")],
            "room": { "timeline": part, "state": part, "account_data": part },
        },
        "event": {
            "type": text, "sender": "@alice:example.org", "room_id": "!room:example.org",
            "content": { text: { text: text } },
        },
    });
    input.to_string().into_bytes()
}
