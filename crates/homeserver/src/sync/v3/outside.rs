//! Rooms that a user sees from outside: invited to, knocked at.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{AnyStrippedStateEvent, StateEventType},
    serde::Raw,
};

use crate::{
    error::Result,
    rooms::{Rooms, present, record::Membership},
};

/// What somebody outside learns of a room, besides who invites.
const TOLD: [StateEventType; 8] = [
    StateEventType::RoomCreate,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomJoinRules,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomHistoryVisibility,
];

/// The state that an invited or knocking user sees, as it was then: with the member events of both sides.
pub fn stripped_state(
    rooms: &Rooms,
    room: &RoomId,
    user: &UserId,
    member: &Membership,
) -> Result<Vec<Raw<AnyStrippedStateEvent>>> {
    let state = rooms.state_at(room, member.position);
    let mut events = Vec::new();
    for kind in &TOLD {
        events.extend(state.get(kind, "")?);
    }
    let people: [OwnedUserId; 2] = [member.sender.clone(), user.to_owned()];
    let both = if member.sender == user { 1 } else { 0 };
    for person in &people[both..] {
        events.extend(state.member(person)?);
    }
    events.iter().map(|pdu| present::stripped(pdu)).collect()
}
