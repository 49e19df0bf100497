//! Which state events a client gets: what it asks for, or what changed of that, and the members that it needs.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use ruma::{OwnedUserId, RoomId, events::TimelineEventType};

use super::RoomResponseBuilder;
use crate::{
    error::Result,
    rooms::{Pdu, Rooms},
    stream::Position,
    sync::sliding::{
        connection::SentRoom,
        list::RoomRequest,
        required::{self, RequiredState},
        timeline::Timeline,
    },
};

/// How many events are looked at to find which state changed. If more happened, all state that is asked for is sent again.
const EVENTS_SINCE_MAX: usize = 1_000;
/// Of how many members a connection remembers for each room that it has sent them.
const MEMBERS_REMEMBERED_MAX: usize = 10_000;

/// What state changed since a position.
#[derive(Debug)]
pub(super) enum StateChanges {
    /// The last state event of each type and key.
    Changed(BTreeMap<(String, String), Arc<Pdu>>),
    /// So much that nobody looked.
    TooMuch,
}

impl StateChanges {
    /// What changed after `after` up to and with `now`.
    pub(super) fn read(
        rooms: &Rooms,
        room: &RoomId,
        after: Position,
        now: Position,
    ) -> Result<Self> {
        let mut changed = BTreeMap::new();
        for (visible, pdu) in rooms.events_up(room, after.next()).enumerate() {
            let pdu = pdu?;
            if pdu.position > now {
                break;
            }
            if visible >= EVENTS_SINCE_MAX {
                return Ok(Self::TooMuch);
            }
            if let Some(key) = &pdu.state_key {
                changed.insert((pdu.kind.to_string(), key.clone()), pdu);
            }
        }
        Ok(Self::Changed(changed))
    }

    /// Whether a state event of this type may have changed.
    pub(super) fn touches(&self, kind: &str) -> bool {
        match self {
            Self::TooMuch => true,
            Self::Changed(changed) => changed.keys().any(|(changed, _)| changed == kind),
        }
    }
}

/// State events to send, and whose member events the client has then.
#[derive(Debug, Default)]
pub(super) struct StateSent {
    pub(super) events: Vec<Arc<Pdu>>,
    pub(super) members: HashSet<OwnedUserId>,
}

impl StateSent {
    /// Everything that is asked for.
    pub(super) fn requested(
        rooms: &Rooms,
        room: &RoomId,
        wanted: &RoomRequest,
        timeline: &Timeline,
    ) -> Result<Self> {
        let mut found = Found::default();
        found.add_required(rooms, room, &wanted.required)?;
        if wanted.required.is_lazy() {
            found.members(rooms, room, timeline.members())?;
        }
        Ok(found.into_sent(HashSet::new()))
    }

    /// What changed of it, what is asked for only now, and members that are needed and were not sent.
    pub(super) fn changes(
        look: &RoomResponseBuilder<'_>,
        old: &SentRoom,
        more: &RequiredState,
        since: &StateChanges,
        timeline: &Timeline,
    ) -> Result<Self> {
        let (rooms, room) = (look.rooms(), look.room_id);
        let required = &look.wanted.required;
        let StateChanges::Changed(changed) = since else {
            return Self::requested(rooms, room, look.wanted, timeline);
        };
        let mut found = Found::default();
        found.add_required(rooms, room, more)?;
        let needed = if required.is_lazy() {
            timeline.members()
        } else {
            HashSet::new()
        };
        for ((kind, key), pdu) in changed {
            let is_needed =
                |user: &OwnedUserId| needed.contains(user) || old.members.contains(user);
            let lazily = member_of(pdu).is_some_and(|user| required.is_lazy() && is_needed(&user));
            if lazily || required.wants(kind, key) {
                found.add(pdu.clone());
            }
        }
        let new = needed.difference(&old.members).cloned();
        found.members(rooms, room, new)?;
        Ok(found.into_sent(old.members.clone()))
    }
}

/// State events, each once, in their order.
#[derive(Debug, Default)]
struct Found {
    events: BTreeMap<Position, Arc<Pdu>>,
}

impl Found {
    fn add(&mut self, pdu: Arc<Pdu>) {
        self.events.insert(pdu.position, pdu);
    }

    fn add_required(
        &mut self,
        rooms: &Rooms,
        room: &RoomId,
        required: &RequiredState,
    ) -> Result<()> {
        let state = rooms.state(room);
        for look in required.state_lookups() {
            let found = match look {
                required::StateLookup::Everything => state.all()?,
                required::StateLookup::Type(kind) => state.all_of(&kind)?,
                required::StateLookup::One(kind, key) => {
                    state.get(&kind, &key)?.into_iter().collect()
                }
            };
            for pdu in found {
                let key = pdu.state_key.as_deref().unwrap_or_default();
                if required.wants(&pdu.kind.to_string(), key) {
                    self.add(pdu);
                }
            }
        }
        Ok(())
    }

    fn members(
        &mut self,
        rooms: &Rooms,
        room: &RoomId,
        users: impl IntoIterator<Item = OwnedUserId>,
    ) -> Result<()> {
        let state = rooms.state(room);
        for user in users {
            if let Some(pdu) = state.member(&user)? {
                self.add(pdu);
            }
        }
        Ok(())
    }

    fn into_sent(self, mut members: HashSet<OwnedUserId>) -> StateSent {
        if members.len() > MEMBERS_REMEMBERED_MAX {
            // Forgotten ones are sent again when they are needed.
            members.clear();
        }
        members.extend(self.events.values().filter_map(|pdu| member_of(pdu)));
        StateSent {
            events: self.events.into_values().collect(),
            members,
        }
    }
}

fn member_of(pdu: &Pdu) -> Option<OwnedUserId> {
    if pdu.kind != TimelineEventType::RoomMember {
        return None;
    }
    OwnedUserId::try_from(pdu.state_key.as_deref()?).ok()
}
