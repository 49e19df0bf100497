//! What filters and order need to know of rooms, the same for everybody: kept in memory, and read again for a room only after
//! something happened in it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ruma::{
    OwnedRoomId, RoomId,
    events::{
        StateEventType, TimelineEventType, room::create::RoomCreateEventContent,
        room::name::RoomNameEventContent,
    },
};

use crate::{
    error::Result,
    rooms::Rooms,
    store::tables,
    stream::{Change, Position},
};

/// The rooms of which facts are kept. Above that, all are read anew as they are needed.
const ROOMS_KEPT_MAX: usize = 20_000;

/// How many changes are looked through to find out which rooms they concern. Behind more than that, all rooms are looked at.
const CHANGES_FOLLOWED_MAX: usize = 5_000;

/// The types of events that move a room to the top of a list.
/// Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>
fn is_news(kind: &TimelineEventType) -> bool {
    matches!(
        kind.to_string().as_str(),
        "m.room.create"
            | "m.room.message"
            | "m.room.encrypted"
            | "m.sticker"
            | "m.call.invite"
            | "m.poll.start"
            | "org.matrix.msc3381.poll.start"
            | "m.beacon_info"
            | "org.matrix.msc3672.beacon_info"
    )
}

/// What is known of a room.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomInfo {
    /// Its last event.
    pub(super) latest: Position,
    /// Its last event that moves it to the top of a list.
    pub(super) bump: Position,
    /// The type of its create event.
    pub(super) room_type: Option<String>,
    /// Whether messages in it are encrypted.
    pub(super) encrypted: bool,
    /// Its name, if somebody gave it one.
    pub(super) name: Option<String>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Changes up to here are in the facts.
    followed: Position,
    rooms: HashMap<OwnedRoomId, Entry>,
}

#[derive(Debug)]
struct Entry {
    facts: Arc<RoomInfo>,
    outdated: bool,
}

/// Facts of all rooms that somebody asked for.
#[derive(Debug, Default)]
pub(super) struct RoomInfoCache {
    inner: Mutex<Inner>,
}

impl RoomInfoCache {
    /// Marks the rooms in which something happened up to `now`.
    pub(super) fn follow(&self, rooms: &Rooms, now: Position) -> Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if now <= inner.followed {
            return Ok(());
        }
        let from = inner.followed.next();
        let mut changes = rooms.store.scan_from::<tables::Changes>((), (from,));
        for _ in 0..CHANGES_FOLLOWED_MAX {
            let Some(row) = changes.next() else { break };
            let ((position,), change) = row?;
            if position > now {
                break;
            }
            if let Change::Event(room, _) = change
                && let Some(entry) = inner.rooms.get_mut(&room)
            {
                entry.outdated = true;
            }
        }
        if changes
            .next()
            .is_some_and(|row| row.is_ok_and(|((position,), _)| position <= now))
            || inner.rooms.len() > ROOMS_KEPT_MAX
        {
            inner.rooms.clear();
        }
        inner.followed = now;
        Ok(())
    }

    /// What is known of a room.
    pub(super) fn of(&self, rooms: &Rooms, room: &RoomId) -> Result<Arc<RoomInfo>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match inner.rooms.get(room) {
            Some(entry) if !entry.outdated => return Ok(entry.facts.clone()),
            Some(entry) => Some(entry.facts.clone()),
            None => None,
        };
        let followed = inner.followed;
        drop(inner);
        // Others do not wait for one room that takes long.
        let facts = Arc::new(read(rooms, room, known.as_deref())?);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            facts: facts.clone(),
            // What was followed meanwhile may be about this room.
            outdated: inner.followed > followed,
        };
        inner.rooms.insert(room.to_owned(), entry);
        Ok(facts)
    }
}

fn read(rooms: &Rooms, room: &RoomId, known: Option<&RoomInfo>) -> Result<RoomInfo> {
    let known = known.cloned().unwrap_or_default();
    let mut facts = RoomInfo::default();
    for pdu in rooms.events_down(room, Position::MAX) {
        let pdu = pdu?;
        facts.latest = facts.latest.max(pdu.position);
        if pdu.position <= known.latest {
            break;
        }
        if is_news(&pdu.kind) {
            facts.bump = pdu.position;
            break;
        }
    }
    facts.bump = facts.bump.max(known.bump);
    let state = rooms.state(room);
    facts.room_type = state
        .content::<RoomCreateEventContent>(&StateEventType::RoomCreate, "")?
        .and_then(|create| create.room_type)
        .map(|room_type| room_type.to_string());
    facts.encrypted = state.get(&StateEventType::RoomEncryption, "")?.is_some();
    facts.name = state
        .content::<RoomNameEventContent>(&StateEventType::RoomName, "")?
        .map(|content| content.name)
        .filter(|name| !name.is_empty());
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_call_news_moves_a_room_up_and_the_rest_does_not() {
        for kind in [
            "m.room.message",
            "m.room.encrypted",
            "m.sticker",
            "org.matrix.msc3381.poll.start",
        ] {
            assert!(is_news(&kind.into()), "{kind}");
        }
        for kind in [
            "m.room.member",
            "m.reaction",
            "m.room.redaction",
            "m.room.topic",
        ] {
            assert!(!is_news(&kind.into()), "{kind}");
        }
    }
}
