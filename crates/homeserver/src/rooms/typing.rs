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

use crate::{
    accounts::account_data,
    blocking,
    error::Result,
    limits::TYPING_MAX,
    stream::{Position, Stream, WakeTarget},
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
        let begins = typers.users.insert(user.to_owned(), deadline).is_none();
        drop(rooms);
        if begins {
            self.announce(room)?;
        }
        // A timer does not keep a server alive that is closed meanwhile.
        let typing = Arc::downgrade(&self.inner);
        let (room, user) = (room.to_owned(), user.to_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "a timer that nothing waits for, and which ends by itself"
        )]
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            let ended = blocking::run(move || {
                if let Some(inner) = Weak::upgrade(&typing) {
                    Self { inner }.end_at(&room, &user, deadline);
                }
            });
            drop(ended.await);
        });
        Ok(())
    }

    /// The user does not type any more.
    pub fn stop(&self, room: &RoomId, user: &UserId) -> Result<()> {
        let mut rooms = self.rooms();
        let typers = rooms.get_mut(room);
        let ends = typers.is_some_and(|typers| typers.users.remove(user).is_some());
        drop(rooms);
        if ends {
            self.announce(room)?;
        }
        Ok(())
    }

    /// The user is not in the room any more.
    pub fn remove_user(&self, room: &RoomId, user: &UserId) {
        if let Err(error) = self.stop(room, user) {
            tracing::error!(room.id = %room, %error, "could not announce the end of typing");
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
            drop(rooms);
            if let Err(error) = self.announce(room) {
                tracing::error!(room.id = %room, %error, "could not announce the end of typing");
            }
        }
    }

    /// Makes what changed visible, while nobody's lock is held: who is woken is read from the database.
    fn announce(&self, room: &RoomId) -> Result<()> {
        let touches = [WakeTarget::Room(room.to_owned())];
        self.inner.stream.announce(&touches, |position| {
            if let Some(typers) = self.rooms().get_mut(room) {
                typers.changed = typers.changed.max(position);
            }
        })?;
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
