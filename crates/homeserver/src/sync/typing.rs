//! Who is typing: kept in memory, ends by itself.
//!
//! Whoever is typing has a deadline. A timer ends it and wakes everybody in the room, so that nobody is seen typing for ever; whoever
//! leaves the room ends it, too.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{AnySyncEphemeralRoomEvent, typing::TypingEventContent},
    serde::Raw,
};
use serde_json::value::to_raw_value;
use tokio::time::Instant;

use super::account_data;
use crate::{
    error::Result,
    limits::TYPING_MAX,
    stream::{Position, Stream, Touch},
};

/// Who is typing where. Clones are the same.
#[derive(Clone, Debug)]
pub struct Typing {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: Stream,
    rooms: Mutex<HashMap<OwnedRoomId, Typers>>,
}

/// Who is typing in a room, and since when the room is as it is.
#[derive(Debug, Default)]
struct Typers {
    changed: Position,
    users: BTreeMap<OwnedUserId, Instant>,
}

impl Typing {
    /// Nobody types.
    pub fn new(stream: Stream) -> Self {
        let rooms = Mutex::default();
        Self {
            inner: Arc::new(Inner { stream, rooms }),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<OwnedRoomId, Typers>> {
        self.inner
            .rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The user types for this long, unless something else is said before.
    pub fn start(&self, room: &RoomId, user: &UserId, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout.min(TYPING_MAX);
        let mut rooms = self.rooms();
        let typers = rooms.entry(room.to_owned()).or_default();
        if typers.users.insert(user.to_owned(), deadline).is_none() {
            self.announce(room, typers)?;
        }
        drop(rooms);
        // A timer does not keep a server alive that is closed meanwhile.
        let typing = Arc::downgrade(&self.inner);
        let (room, user) = (room.to_owned(), user.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            if let Some(inner) = Weak::upgrade(&typing) {
                Self { inner }.end_at(&room, &user, deadline);
            }
        });
        Ok(())
    }

    /// The user does not type any more.
    pub fn stop(&self, room: &RoomId, user: &UserId) -> Result<()> {
        let mut rooms = self.rooms();
        if let Some(typers) = rooms.get_mut(room)
            && typers.users.remove(user).is_some()
        {
            self.announce(room, typers)?;
        }
        Ok(())
    }

    /// The user is not in the room any more.
    pub fn left(&self, room: &RoomId, user: &UserId) {
        if let Err(error) = self.stop(room, user) {
            tracing::error!(room.id = %room, %error, "nobody could be told that typing ended");
        }
    }

    /// The timer of a deadline: without effect if there is a newer one.
    fn end_at(&self, room: &RoomId, user: &UserId, deadline: Instant) {
        let mut rooms = self.rooms();
        let Some(typers) = rooms.get_mut(room) else {
            return;
        };
        if typers.users.get(user) == Some(&deadline) {
            typers.users.remove(user);
            if let Err(error) = self.announce(room, typers) {
                tracing::error!(room.id = %room, %error, "nobody could be told that typing ended");
            }
        }
    }

    /// Whoever is woken waits for the lock that the caller holds, and then reads the position that is set here.
    fn announce(&self, room: &RoomId, typers: &mut Typers) -> Result<()> {
        typers.changed = self
            .inner
            .stream
            .announce(vec![Touch::Room(room.to_owned())])?;
        Ok(())
    }

    /// Who is typing in the room now.
    pub fn users(&self, room: &RoomId) -> Vec<OwnedUserId> {
        self.rooms()
            .get(room)
            .map(|typers| typers.users.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Who is typing in the room now, if that changed after `since` and not after `until`.
    pub fn since(
        &self,
        room: &RoomId,
        since: Position,
        until: Position,
    ) -> Option<Vec<OwnedUserId>> {
        let rooms = self.rooms();
        let typers = rooms.get(room)?;
        (typers.changed > since && typers.changed <= until)
            .then(|| typers.users.keys().cloned().collect())
    }

    /// The rooms where it changed after `since` and not after `until`.
    pub fn changed_rooms(&self, since: Position, until: Position) -> Vec<OwnedRoomId> {
        self.rooms()
            .iter()
            .filter(|(_, typers)| typers.changed > since && typers.changed <= until)
            .map(|(room, _)| room.clone())
            .collect()
    }
}

/// Who types, as the event that clients get.
pub fn event(users: Vec<OwnedUserId>) -> Result<Raw<AnySyncEphemeralRoomEvent>> {
    let content = to_raw_value(&TypingEventContent::new(users))?;
    account_data::event("m.typing", &content).map(Raw::from_json)
}
