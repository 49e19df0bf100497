//! What concerns an application service, asked of each event in the order in which they happened.
//!
//! Who is in a room is known as it was at the event, not as it is now: what came while its users were there is delivered even if
//! they left before it was. Rooms are read from the temporal index the first time, and followed from there.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-events>

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use crate::{
    appservices::Appservice,
    error::Result,
    rooms::{Pdu, Rooms},
    store::tables,
    stream::Position,
};

/// What is known of the rooms at the place that was reached.
#[derive(Debug)]
pub(super) struct Interest {
    appservice: Arc<Appservice>,
    rooms: Rooms,
    joined: HashMap<OwnedRoomId, HashSet<OwnedUserId>>,
}

impl Interest {
    pub(super) fn new(appservice: Arc<Appservice>, rooms: Rooms) -> Self {
        Self {
            appservice,
            rooms,
            joined: HashMap::new(),
        }
    }

    /// Whether the event concerns the application service. Events are asked about in their order.
    pub(super) fn in_event(&mut self, pdu: &Pdu) -> Result<bool> {
        let own_member = self.follow(pdu)?;
        Ok(own_member
            || self.appservice.is_own(&pdu.sender)
            || self.in_room(&pdu.room_id, pdu.position)?)
    }

    /// Whether what happens in the room at this position concerns it.
    pub(super) fn in_room(&mut self, room: &RoomId, at: Position) -> Result<bool> {
        let joined = !self.own_members(room, at)?.is_empty();
        Ok(joined || self.appservice.registration().matches_room(room) || self.has_alias(room)?)
    }

    /// Whether the user is in a room with one of its users.
    pub(super) fn shares_room_with(&mut self, user: &UserId, at: Position) -> Result<bool> {
        for room in self.rooms.joined_rooms(user)? {
            if !self.own_members(&room, at)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Its users who are in the room at this position.
    pub(super) fn own_members(
        &mut self,
        room: &RoomId,
        at: Position,
    ) -> Result<&HashSet<OwnedUserId>> {
        if !self.joined.contains_key(room) {
            let mut members = HashSet::new();
            let state = self.rooms.state_at(room, at);
            for pdu in state.all_of(&StateEventType::RoomMember)? {
                if let Some((user, true)) = membership(&pdu)
                    && self.appservice.is_own(&user)
                {
                    members.insert(user);
                }
            }
            self.joined.insert(room.to_owned(), members);
        }
        Ok(self.joined.entry(room.to_owned()).or_default())
    }

    /// Takes in what the event changes. Says whether it is about one of its users.
    fn follow(&mut self, pdu: &Pdu) -> Result<bool> {
        let Some((user, joins)) = membership(pdu).filter(|(user, _)| self.appservice.is_own(user))
        else {
            return Ok(false);
        };
        self.own_members(&pdu.room_id, pdu.position)?;
        let members = self.joined.entry(pdu.room_id.clone()).or_default();
        if joins {
            members.insert(user);
        } else {
            members.remove(&user);
        }
        Ok(true)
    }

    fn has_alias(&self, room: &RoomId) -> Result<bool> {
        let registration = self.appservice.registration();
        if registration.file().namespaces.aliases.is_empty() {
            return Ok(false);
        }
        for key in self.rooms.store.scan::<tables::RoomAliases>((room,)).keys() {
            if registration.matches_alias(&key?.1) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whom a member event is about, and whether they are in the room after it.
fn membership(pdu: &Pdu) -> Option<(OwnedUserId, bool)> {
    if pdu.kind != TimelineEventType::RoomMember {
        return None;
    }
    let user = UserId::parse(pdu.state_key.as_deref()?).ok()?;
    let content = pdu.content_as::<RoomMemberEventContent>()?;
    Some((user, content.membership == MembershipState::Join))
}
