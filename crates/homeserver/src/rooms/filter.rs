//! Whether an event passes a filter that a client gave.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::{
    OwnedUserId, UserId,
    api::client::filter::{Filter, RoomEventFilter, UrlFilter},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Pdu, Rooms};
use crate::{error::Result, store::tables};

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

/// The part of a filter that asks what others said of an event; ruma's type does not have it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RelatedBy {
    /// Only events to which one of these relates something.
    #[serde(default)]
    related_by_senders: Option<Vec<OwnedUserId>>,
    /// Only events to which something relates in one of these ways.
    #[serde(default)]
    related_by_rel_types: Option<Vec<String>>,
}

impl RelatedBy {
    /// Reads it from the filter as it came. What is wrong with that is found where the rest of it is read.
    pub fn read(filter: Option<&str>) -> Self {
        filter
            .and_then(|filter| serde_json::from_str(filter).ok())
            .unwrap_or_default()
    }

    /// Whether something relates to the event in this way.
    pub fn matches(&self, rooms: &Rooms, pdu: &Pdu) -> Result<bool> {
        let (senders, types) = (&self.related_by_senders, &self.related_by_rel_types);
        if senders.is_none() && types.is_none() {
            return Ok(true);
        }
        let key = (&*pdu.room_id, &*pdu.event_id);
        for row in rooms.store.scan::<tables::Relations>(key) {
            let (_, relation) = row?;
            let by_sender = senders
                .as_ref()
                .is_none_or(|senders| senders.contains(&relation.sender));
            let by_type = types
                .as_ref()
                .is_none_or(|types| types.contains(&relation.rel_type));
            if by_sender && by_type {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether something passes that is no event of a room: presence, account data.
pub fn matches_other(filter: &Filter, kind: &str, sender: Option<&UserId>) -> bool {
    let is_sender = |one: &OwnedUserId| sender.is_some_and(|sender| one == sender);
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
