//! Which fields of an event a client wants to have: `event_fields` of its filter.
//!
//! What makes JSON an event is always given, so that every client's parser takes it; the specification allows to give more than was
//! asked for. Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use std::collections::BTreeMap;

use ruma::serde::{JsonObject, Raw};
use serde_json::Value;

use crate::limits::JSON_MAX_DEPTH;

/// What is given in any case.
pub const ENVELOPE: [&str; 5] = [
    "event_id",
    "origin_server_ts",
    "sender",
    "state_key",
    "type",
];

/// The fields that are wanted.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Nothing stands for all of them.
    wanted: Option<Wanted>,
}

/// What is wanted of an object: of each field all, or of the object in it some. A tree of the paths, so that however many there are,
/// no part of an event is copied more than once.
#[derive(Clone, Debug, Default)]
struct Wanted(BTreeMap<String, Option<Wanted>>);

impl Fields {
    /// Reads the paths of a filter, whose segments are divided by dots.
    pub fn read(filter: Option<&[String]>) -> Self {
        let paths = filter.unwrap_or_default();
        if paths.is_empty() {
            return Self::default();
        }
        let mut wanted = Wanted::default();
        // A longer path leads to nothing: no event is so deep.
        let paths = paths.iter().map(|path| segments(path));
        for path in paths.filter(|path| path.len() <= JSON_MAX_DEPTH) {
            wanted.add(&path);
        }
        Self {
            wanted: Some(wanted),
        }
    }

    /// The event with no more than what is wanted.
    ///
    /// # Errors
    ///
    /// If the event is no JSON object, which no event of ours is.
    pub fn only<T>(&self, event: Raw<T>) -> serde_json::Result<Raw<T>> {
        let Some(wanted) = &self.wanted else {
            return Ok(event);
        };
        let whole: JsonObject = event.deserialize_as_unchecked()?;
        let mut given = wanted.of(&whole);
        for name in ENVELOPE {
            if let Some(value) = whole.get(name) {
                given.insert(name.to_owned(), value.clone());
            }
        }
        Ok(Raw::new(&given)?.cast_unchecked())
    }
}

impl Wanted {
    fn add(&mut self, path: &[String]) {
        let Some((name, rest)) = path.split_first() else {
            return;
        };
        if rest.is_empty() {
            self.0.insert(name.clone(), None);
        } else if let Some(below) = self
            .0
            .entry(name.clone())
            .or_insert_with(|| Some(Self::default()))
        {
            below.add(rest);
        }
    }

    fn of(&self, whole: &JsonObject) -> JsonObject {
        let mut given = JsonObject::new();
        for (name, wanted) in &self.0 {
            let value = match (whole.get(name), wanted) {
                (Some(all), None) => all.clone(),
                (Some(Value::Object(below)), Some(wanted)) => wanted.of(below).into(),
                _ => continue,
            };
            given.insert(name.clone(), value);
        }
        given
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

#[test]
fn many_paths_to_the_same_copy_it_once() {
    let many = (0..10_000).flat_map(|n| ["content".to_owned(), format!("content.body.{n}")]);
    let mut paths: Vec<String> = many.collect();
    paths.push(".".repeat(60_000));
    let fields = Fields::read(Some(&paths));
    let wanted = fields.wanted.unwrap_or_default();
    assert_eq!(wanted.0.len(), 1);
    assert!(wanted.0["content"].is_none(), "all of it");
}
