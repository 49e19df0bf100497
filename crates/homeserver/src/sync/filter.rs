//! What the filter of a sync lets through, besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use ruma::{
    OwnedRoomId, RoomId, UserId,
    api::client::filter::{FilterDefinition, RoomEventFilter, RoomFilter},
};

use crate::{
    error::{Error, Result},
    rooms::filter::like,
    store::{Store, tables},
};

/// The filter that a user stored under this id. 400 if there is none.
pub fn stored(store: &Store, user: &UserId, id: &str) -> Result<FilterDefinition> {
    let stored = store
        .get::<tables::Filters>((user, id))?
        .ok_or_else(|| Error::invalid("There is no filter with this id"))?;
    Ok(serde_json::from_value(stored)?)
}

fn allows(rooms: Option<&Vec<OwnedRoomId>>, not_rooms: &[OwnedRoomId], room: &RoomId) -> bool {
    rooms.is_none_or(|rooms| rooms.iter().any(|known| known == room))
        && !not_rooms.iter().any(|known| known == room)
}

/// Whether anything of a room is wanted.
pub fn wants_room(filter: &RoomFilter, room: &RoomId) -> bool {
    allows(filter.rooms.as_ref(), &filter.not_rooms, room)
}

/// Whether something of a room that is no event of it is wanted: account data, typing, receipts.
pub fn wants_in_room(filter: &RoomEventFilter, room: &RoomId, kind: &str) -> bool {
    let is_kind = |pattern: &String| like(pattern, kind);
    let (types, not_types) = (&filter.types, &filter.not_types);
    types.as_ref().is_none_or(|types| types.iter().any(is_kind))
        && !not_types.iter().any(is_kind)
        && allows(filter.rooms.as_ref(), &filter.not_rooms, room)
}
