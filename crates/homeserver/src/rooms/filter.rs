//! Whether an event passes a filter that a client gave.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::{
    UserId,
    api::client::filter::{Filter, RoomEventFilter, UrlFilter},
};
use serde::Deserialize;
use serde_json::Value;

use super::Pdu;

/// Whether an event of a room passes. The limit is not part of it.
pub fn matches(filter: &RoomEventFilter, pdu: &Pdu) -> bool {
    let room = &pdu.room_id;
    if filter.not_rooms.contains(room)
        || filter
            .rooms
            .as_ref()
            .is_some_and(|rooms| !rooms.contains(room))
    {
        return false;
    }
    let kind = pdu.kind.to_string();
    allows(filter.types.as_deref(), &filter.not_types, |pattern| {
        like(pattern, &kind)
    }) && allows(filter.senders.as_deref(), &filter.not_senders, |sender| {
        *sender == pdu.sender
    }) && filter
        .url_filter
        .is_none_or(|wanted| has_url(pdu) == (wanted == UrlFilter::EventsWithUrl))
}

/// Whether something passes that is no event of a room: presence, account data.
pub fn matches_other(filter: &Filter, kind: &str, sender: Option<&UserId>) -> bool {
    let is_sender = |one: &ruma::OwnedUserId| sender.is_some_and(|sender| one == sender);
    allows(filter.types.as_deref(), &filter.not_types, |pattern| {
        like(pattern, kind)
    }) && allows(filter.senders.as_deref(), &filter.not_senders, is_sender)
}

/// What is excluded stays out, even if it is included as well; no list of what is included includes everything.
fn allows<T>(included: Option<&[T]>, excluded: &[T], is: impl Fn(&T) -> bool) -> bool {
    !excluded.iter().any(&is) && included.is_none_or(|included| included.iter().any(&is))
}

/// Whether a type is like the pattern, in which `*` stands for anything.
pub fn like(pattern: &str, kind: &str) -> bool {
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

fn has_url(pdu: &Pdu) -> bool {
    #[derive(Deserialize)]
    struct Content {
        url: Option<Value>,
    }
    pdu.content_as::<Content>()
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
        assert_eq!(like(pattern, kind), is, "{pattern} {kind}");
    }
}
