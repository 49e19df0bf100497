//! Which fields of an event a client wants to have: `event_fields` of its filter.
//!
//! What makes JSON an event is always given, so that every client's parser takes it; the specification allows to give more than was
//! asked for. Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::serde::{JsonObject, Raw};
use serde_json::Value;

/// What is given in any case.
const ENVELOPE: [&str; 5] = [
    "event_id",
    "origin_server_ts",
    "sender",
    "state_key",
    "type",
];

/// The fields that are wanted: none means all.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    paths: Vec<Vec<String>>,
}

impl Fields {
    /// Reads the paths of a filter, whose segments are divided by dots.
    pub fn read(filter: Option<&[String]>) -> Self {
        let paths = filter.unwrap_or_default().iter();
        Self {
            paths: paths.map(|path| segments(path)).collect(),
        }
    }

    /// The event with no more than what is wanted.
    ///
    /// # Errors
    ///
    /// If the event is no JSON object, which no event of ours is.
    pub fn only<T>(&self, event: Raw<T>) -> serde_json::Result<Raw<T>> {
        if self.paths.is_empty() {
            return Ok(event);
        }
        let whole: JsonObject = event.deserialize_as_unchecked()?;
        let mut wanted = JsonObject::new();
        for name in ENVELOPE {
            if let Some(value) = whole.get(name) {
                wanted.insert(name.to_owned(), value.clone());
            }
        }
        for path in &self.paths {
            copy(&whole, &mut wanted, path);
        }
        Ok(Raw::new(&wanted)?.cast_unchecked())
    }
}

/// Copies what lies at the path, and nothing beside it.
fn copy(from: &JsonObject, to: &mut JsonObject, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let Some(found) = from.get(name) else { return };
    if rest.is_empty() {
        to.insert(name.clone(), found.clone());
        return;
    }
    let Value::Object(below) = found else { return };
    let place = to
        .entry(name.clone())
        .or_insert_with(|| JsonObject::new().into());
    if let Value::Object(place) = place {
        copy(below, place, rest);
    }
}

/// The segments of a path. A backslash takes a dot or a backslash behind it for a character of the name.
fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        let character = match character {
            '.' => {
                segments.push(String::new());
                continue;
            }
            '\\' => characters
                .next_if(|next| matches!(next, '.' | '\\'))
                .unwrap_or(character),
            other => other,
        };
        if let Some(segment) = segments.last_mut() {
            segment.push(character);
        }
    }
    segments
}

#[test]
fn a_dot_can_belong_to_a_name() {
    let content = |path| segments(path).join("|");
    assert_eq!(content("content.body"), "content|body");
    assert_eq!(
        content(r"content.m\.relates_to.key"),
        "content|m.relates_to|key"
    );
    assert_eq!(content(r"content.a\\.b\c"), r"content|a\|b\c");
}

#[test]
fn only_what_is_wanted_is_given() {
    let event: Raw<Value> = Raw::new(&serde_json::json!({
        "type": "m.room.message", "event_id": "$1", "sender": "@a:b", "origin_server_ts": 1,
        "content": { "body": "hi", "msgtype": "m.text", "m.relates_to": { "key": "k", "rel_type": "r" } },
        "unsigned": { "age": 5 },
    }))
    .unwrap();
    let wanted = [
        "content.body",
        r"content.m\.relates_to.key",
        "content.body.deeper",
        "nothing",
    ];
    let fields = Fields::read(Some(&wanted.map(str::to_owned)));
    let given: Value = fields.only(event.clone()).unwrap().deserialize().unwrap();
    assert_eq!(
        given,
        serde_json::json!({
            "type": "m.room.message", "event_id": "$1", "sender": "@a:b", "origin_server_ts": 1,
            "content": { "body": "hi", "m.relates_to": { "key": "k" } },
        })
    );
    let all = Fields::read(None).only(event.clone()).unwrap();
    assert_eq!(all.json().get(), event.json().get());
}
