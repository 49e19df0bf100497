//! What a filter lets through.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::filter::{Filter, FilterDefinition, RoomEventFilter, RoomFilter, UrlFilter},
};

use crate::{
    error::{Error, Result},
    rooms::Pdu,
    store::{Store, tables},
};

/// The filter that a user stored under this id. 400 if there is none.
pub fn stored(store: &Store, user: &UserId, id: &str) -> Result<FilterDefinition> {
    let stored = store
        .get::<tables::Filters>((user, id))?
        .ok_or_else(|| Error::invalid("There is no filter with this id"))?;
    Ok(serde_json::from_value(stored)?)
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn type_passes(types: Option<&Vec<String>>, not_types: &[String], kind: &str) -> bool {
    types.is_none_or(|types| types.iter().any(|pattern| matches(pattern, kind)))
        && !not_types.iter().any(|pattern| matches(pattern, kind))
}

fn sender_passes(
    senders: Option<&Vec<OwnedUserId>>,
    not_senders: &[OwnedUserId],
    sender: &UserId,
) -> bool {
    senders.is_none_or(|senders| senders.iter().any(|known| known == sender))
        && !not_senders.iter().any(|known| known == sender)
}

fn room_passes(rooms: Option<&Vec<OwnedRoomId>>, not_rooms: &[OwnedRoomId], room: &RoomId) -> bool {
    rooms.is_none_or(|rooms| rooms.iter().any(|known| known == room))
        && !not_rooms.iter().any(|known| known == room)
}

/// Whether anything of a room is wanted.
pub fn wants_room(filter: &RoomFilter, room: &RoomId) -> bool {
    room_passes(filter.rooms.as_ref(), &filter.not_rooms, room)
}

/// Whether something outside of rooms is wanted: account data (which have no sender), presence.
pub fn wants(filter: &Filter, kind: &str, sender: Option<&UserId>) -> bool {
    type_passes(filter.types.as_ref(), &filter.not_types, kind)
        && sender.is_none_or(|sender| {
            sender_passes(filter.senders.as_ref(), &filter.not_senders, sender)
        })
}

/// Whether something of a room that is no event of it is wanted: account data, typing, receipts.
pub fn wants_in_room(filter: &RoomEventFilter, room: &RoomId, kind: &str) -> bool {
    type_passes(filter.types.as_ref(), &filter.not_types, kind)
        && room_passes(filter.rooms.as_ref(), &filter.not_rooms, room)
}

/// Whether an event is wanted.
pub fn wants_event(filter: &RoomEventFilter, pdu: &Pdu) -> bool {
    let url = || {
        pdu.content_as::<serde_json::Map<String, serde_json::Value>>()
            .is_some_and(|content| content.get("url").is_some_and(serde_json::Value::is_string))
    };
    wants_in_room(filter, &pdu.room_id, &pdu.kind.to_string())
        && sender_passes(filter.senders.as_ref(), &filter.not_senders, &pdu.sender)
        && match filter.url_filter {
            None => true,
            Some(UrlFilter::EventsWithUrl) => url(),
            Some(UrlFilter::EventsWithoutUrl) => !url(),
        }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("m.room.*", "m.room.message"));
        assert!(matches("*", ""));
        assert!(matches("m.*.member", "m.room.member"));
        assert!(matches("m.room.message", "m.room.message"));
        assert!(!matches("m.room", "m.room.message"));
        assert!(!matches("m.room.*", "m.reaction"));
        assert!(!matches("*.x", "m.room"));
    }
}
