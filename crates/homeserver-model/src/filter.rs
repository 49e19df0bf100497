//! Whether an event passes a filter that a client gave.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::filter::{Filter, RoomEventFilter, RoomFilter, UrlFilter},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

pub mod fields;

/// What a filter looks at in an event of a room.
#[derive(Clone, Copy, Debug)]
pub struct FilterSubject<'a> {
    /// Its room.
    pub room_id: &'a RoomId,
    /// Who sent it.
    pub sender: &'a UserId,
    /// Its type.
    pub kind: &'a str,
    /// Its content.
    pub content: &'a RawValue,
}

/// Whether an event of a room passes. The limit is not part of it.
pub fn matches(filter: &RoomEventFilter, event: &FilterSubject<'_>) -> bool {
    allows_room(filter.rooms.as_ref(), &filter.not_rooms, event.room_id)
        && allows(filter.types.as_deref(), &filter.not_types, |pattern| {
            type_matches(pattern, event.kind)
        })
        && allows(filter.senders.as_deref(), &filter.not_senders, |sender| {
            sender == event.sender
        })
        && filter
            .url_filter
            .is_none_or(|wanted| has_url(event.content) == (wanted == UrlFilter::EventsWithUrl))
}

/// Whether something passes that is no event of a room: presence, account data.
pub fn matches_non_room(filter: &Filter, kind: &str, sender: Option<&UserId>) -> bool {
    let is_sender = |one: &OwnedUserId| sender.is_some_and(|sender| one == sender);
    allows(filter.types.as_deref(), &filter.not_types, |pattern| {
        type_matches(pattern, kind)
    }) && allows(filter.senders.as_deref(), &filter.not_senders, is_sender)
}

/// What is excluded stays out, even if it is included as well; no list of what is included includes everything.
fn allows<T>(included: Option<&[T]>, excluded: &[T], is: impl Fn(&T) -> bool) -> bool {
    !excluded.iter().any(&is) && included.is_none_or(|included| included.iter().any(&is))
}

/// Whether a type is like the pattern, in which `*` stands for anything.
pub fn type_matches(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = kind.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn allows_room(rooms: Option<&Vec<OwnedRoomId>>, not_rooms: &[OwnedRoomId], room: &RoomId) -> bool {
    rooms.is_none_or(|rooms| rooms.iter().any(|known| known == room))
        && !not_rooms.iter().any(|known| known == room)
}

/// Whether anything of a room is wanted.
pub fn wants_room(filter: &RoomFilter, room: &RoomId) -> bool {
    allows_room(filter.rooms.as_ref(), &filter.not_rooms, room)
}

/// Whether something of a room that is no event of it is wanted: account data, typing, receipts.
pub fn wants_in_room(filter: &RoomEventFilter, room: &RoomId, kind: &str) -> bool {
    allows(filter.types.as_deref(), &filter.not_types, |pattern| {
        type_matches(pattern, kind)
    }) && allows_room(filter.rooms.as_ref(), &filter.not_rooms, room)
}

fn has_url(content: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Content {
        url: Option<Value>,
    }
    serde_json::from_str::<Content>(content.get())
        .ok()
        .and_then(|content| content.url)
        .is_some_and(|url| url.is_string())
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, kind, is) in [
        ("m.room.message", "m.room.message", true),
        ("m.room.message", "m.room.messages", false),
        ("m.room.*", "m.room.message", true),
        ("*", "anything", true),
        ("*.message", "m.room.message", true),
        ("m.*.me*e", "m.room.message", true),
        ("m.*.me*x", "m.room.message", false),
        ("m.room.**", "m.room.", true),
        ("ab*ab", "ab", false),
    ] {
        assert_eq!(type_matches(pattern, kind), is, "{pattern} {kind}");
    }
}
