//! Rooms: their events, their state, and the one writer that each has.
//!
//! The graph of a room is linear, because nobody but this server writes to it; the events are real all the same (hashed, signed,
//! authorized by the rules of their room version), so that a room could leave this server one day. Reading takes no lock.
//! Spec: <https://spec.matrix.org/v1.19/rooms/>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, RoomVersionId,
    UserId, room_version_rules::RoomVersionRules, signatures::Ed25519KeyPair,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    accounts::Accounts,
    appservices::Appservices,
    config::{self, Config},
    error::{Error, Result},
    store::{Store, tables},
    stream::{Position, Stream},
};

pub mod admin_room;
pub mod aliases;
mod banned;
pub mod create;
pub mod delayed;
mod derived;
pub mod directory;
mod draft;
pub mod erased;
pub mod filter;
mod guard;
pub mod hierarchy;
mod joined;
pub mod membership;
pub mod pagination;
mod pdu;
pub mod present;
pub mod receipts;
pub mod redact;
pub mod relations;
pub mod search;
pub mod send;
mod signing;
mod state;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod threads;
pub mod typing;
mod unread;
pub mod visibility;
mod writer;

pub use crate::store::records::rooms as record;

pub use derived::{Derived, DerivedWrite};
pub use draft::Draft;
pub use guard::{check_not_suspended, may_redact, readable_state};
pub use pdu::Pdu;
use record::{Membership, RoomRecord};
pub use state::RoomState;
#[cfg(test)]
pub use unread::Unread;
pub(crate) use unread::trim;
pub use unread::{ReadPositions, mark_read, unread};
pub(crate) use writer::EVENTS_PER_WRITE;
pub use writer::RoomWriter;

/// How many parsed events are kept in memory.
const CACHED_EVENTS: usize = 5_000;

/// All rooms of this server. Clones are the same rooms.
#[derive(Clone)]
pub struct Rooms {
    inner: Arc<Inner>,
}

/// What all clones share.
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) stream: Stream,
    pub(crate) server_name: OwnedServerName,
    pub(crate) config: config::Rooms,
    pub(crate) accounts: Accounts,
    pub(crate) appservices: Appservices,
    /// Who may make a room alias just now.
    pub(crate) aliases: aliases::Aliases,
    /// Events that are sent later.
    pub(crate) delayed: delayed::DelayedEventWaker,
    key: Ed25519KeyPair,
    heads: Mutex<HashMap<OwnedRoomId, Arc<AsyncMutex<Head>>>>,
    events: Cache<OwnedEventId, Arc<Pdu>>,
    /// What is derived from every event, in this order.
    derived: Vec<Arc<dyn Derived>>,
    pub(crate) read: ReadPositions,
    pub(crate) typing: typing::Typing,
    allowances: joined::JoinAllowances,
    #[cfg(test)]
    pub(crate) gate: crate::testing::Gate,
    /// How many events and states writers have looked up.
    #[cfg(test)]
    pub(crate) work: crate::testing::WorkCounter,
    pub(crate) erased: erased::ErasedUsers,
}

impl std::ops::Deref for Rooms {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl std::fmt::Debug for Rooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}

/// The end of a room: what the next event comes after. Whoever holds it is the room's writer.
#[derive(Debug, Default)]
struct Head {
    /// Nothing: not read yet, or a write did not end and it has to be read again.
    last: Option<(OwnedEventId, u64)>,
}

impl Rooms {
    /// The rooms in this database, with what is derived from their events, in this order. Makes the signing key at the first start.
    pub async fn open(
        stream: Stream,
        config: &Config,
        accounts: Accounts,
        appservices: Appservices,
        derived: Vec<Arc<dyn Derived>>,
    ) -> Result<Self> {
        let store = stream.store().clone();
        let key = signing::key(&store).await?;
        let erased = erased::ErasedUsers::open(&store)?;
        let inner = Inner {
            typing: typing::Typing::new(stream.clone()),
            store,
            stream,
            server_name: config.server_name.clone(),
            config: config.rooms.clone(),
            accounts,
            appservices,
            aliases: aliases::Aliases::default(),
            delayed: delayed::DelayedEventWaker::default(),
            key,
            heads: Mutex::default(),
            events: Cache::new(CACHED_EVENTS),
            derived,
            read: ReadPositions::default(),
            allowances: joined::JoinAllowances::default(),
            #[cfg(test)]
            gate: crate::testing::Gate::default(),
            #[cfg(test)]
            work: crate::testing::WorkCounter::default(),
            erased,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The key that signs events, for `/_matrix/key/v2/server`.
    pub fn signing_key(&self) -> &Ed25519KeyPair {
        &self.key
    }

    /// The record of a room.
    pub fn record(&self, room: &RoomId) -> Result<Option<RoomRecord>> {
        Ok(self.store.get::<tables::Rooms>((room,))?)
    }

    /// Whether there is such a room.
    pub fn exists(&self, room: &RoomId) -> Result<bool> {
        Ok(self.store.contains::<tables::Rooms>((room,))?)
    }

    /// The rules of a room's version. 404 if there is no such room.
    pub fn rules(&self, room: &RoomId) -> Result<RoomVersionRules> {
        let record = self.record(room)?.ok_or_else(unknown_room)?;
        rules_of(&record.version)
    }

    /// The state of a room as it is now.
    pub fn state(&self, room: &RoomId) -> RoomState {
        RoomState {
            rooms: self.clone(),
            room_id: room.to_owned(),
            at: None,
        }
    }

    /// The state of a room right after the event at this position.
    pub fn state_at(&self, room: &RoomId, position: Position) -> RoomState {
        RoomState {
            rooms: self.clone(),
            room_id: room.to_owned(),
            at: Some(position),
        }
    }

    /// How a user stands to a room, as it is now.
    pub fn membership(&self, room: &RoomId, user: &UserId) -> Result<Option<Membership>> {
        Ok(self.store.get::<tables::Members>((room, user))?)
    }

    /// Whether the user is in the room now.
    pub fn is_joined(&self, room: &RoomId, user: &UserId) -> Result<bool> {
        Ok(self
            .membership(room, user)?
            .is_some_and(|member| member.is_joined()))
    }

    /// Everybody who is in the room now.
    pub fn joined_members(&self, room: &RoomId) -> Result<Vec<OwnedUserId>> {
        let mut users = Vec::new();
        for row in self.store.scan::<tables::Members>((room,)) {
            let ((_, user), member) = row?;
            if member.is_joined() {
                users.push(user);
            }
        }
        Ok(users)
    }

    /// All rooms that a user has anything to do with and has not forgotten.
    pub fn memberships(&self, user: &UserId) -> Result<Vec<(OwnedRoomId, Membership)>> {
        let rows = self.store.scan::<tables::Memberships>((user,));
        rows.map(|row| {
            row.map(|((_, room), member)| (room, member))
                .map_err(Error::from)
        })
        .collect()
    }

    /// The rooms that a user has left and forgotten, with the end of the user's part in them.
    pub fn forgotten(&self, user: &UserId) -> Result<Vec<(OwnedRoomId, Membership)>> {
        let rows = self.store.scan::<tables::ForgottenRooms>((user,));
        rows.map(|row| {
            row.map(|((_, room), member)| (room, member))
                .map_err(Error::from)
        })
        .collect()
    }

    /// The rooms that a user is in.
    pub fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>> {
        let rooms = self.memberships(user)?;
        Ok(rooms
            .into_iter()
            .filter(|(_, member)| member.is_joined())
            .map(|(room, _)| room)
            .collect())
    }

    /// Whether two users are in a room together.
    pub fn share_room(&self, one: &UserId, other: &UserId) -> Result<bool> {
        for room in self.joined_rooms(one)? {
            if self.is_joined(&room, other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where an event is.
    pub fn place_of(&self, event: &EventId) -> Result<Option<(OwnedRoomId, Position)>> {
        Ok(self.store.get::<tables::Events>((event,))?)
    }

    /// An event by its id. Says nothing about who may see it.
    pub fn event(&self, event: &EventId) -> Result<Option<Arc<Pdu>>> {
        if let Some(pdu) = self.events.get(event) {
            return Ok(Some(pdu));
        }
        match self.place_of(event)? {
            Some((room, position)) => self.event_at(&room, position),
            None => Ok(None),
        }
    }

    /// An event whose place is known already.
    pub(crate) fn event_at_position(
        &self,
        room: &RoomId,
        position: Position,
        event: &EventId,
    ) -> Result<Option<Arc<Pdu>>> {
        match self.events.get(event) {
            Some(pdu) => Ok(Some(pdu)),
            None => self.event_at(room, position),
        }
    }

    /// The event at a position of a room.
    pub fn event_at(&self, room: &RoomId, position: Position) -> Result<Option<Arc<Pdu>>> {
        let Some(stored) = self.store.get::<tables::Timeline>((room, position))? else {
            return Ok(None);
        };
        self.cached(stored, room, position).map(Some)
    }

    fn cached(
        &self,
        stored: record::StoredEvent,
        room: &RoomId,
        position: Position,
    ) -> Result<Arc<Pdu>> {
        // Never over what is cached: that may be newer than the row that was read.
        let id = stored.id.clone();
        self.events.get_or_insert_with(&id, || {
            Pdu::from_stored(stored, room, position).map(Arc::new)
        })
    }

    /// The events of a room from `from` (included) upwards, oldest first. Stops at what is visible now.
    pub fn events_up(
        &self,
        room: &RoomId,
        from: Position,
    ) -> impl Iterator<Item = Result<Arc<Pdu>>> + '_ {
        let visible = self.stream.visible();
        let room = room.to_owned();
        let rows = self
            .store
            .scan_from::<tables::Timeline>((&room,), (&room, from));
        rows.take_while(move |row| {
            row.as_ref()
                .map_or(true, |((_, position), _)| *position <= visible)
        })
        .map(move |row| {
            let ((_, position), stored) = row?;
            self.cached(stored, &room, position)
        })
    }

    /// The events of a room from `from` (included) downwards, newest first.
    pub fn events_down(
        &self,
        room: &RoomId,
        from: Position,
    ) -> impl Iterator<Item = Result<Arc<Pdu>>> + '_ {
        let from = from.min(self.stream.visible());
        let room = room.to_owned();
        let rows = self
            .store
            .scan_back_from::<tables::Timeline>((&room,), (&room, from));
        rows.map(move |row| {
            let ((_, position), stored) = row?;
            self.cached(stored, &room, position)
        })
    }

    /// The room's writer: waits until nobody else writes to the room. 404 if there is no such room.
    pub async fn write(&self, room: &RoomId) -> Result<RoomWriter> {
        // Before the lock: no lock is kept for rooms that somebody has made up.
        if !self.exists(room)? {
            return Err(unknown_room());
        }
        RoomWriter::existing(self.clone(), room).await
    }

    /// A new room of this version whose first event has this content.
    pub async fn create(
        &self,
        version: RoomVersionId,
        creator: OwnedUserId,
        content: Box<serde_json::value::RawValue>,
    ) -> Result<RoomWriter> {
        RoomWriter::new_room(self.clone(), version, creator, content).await
    }

    /// Caches an event as it is from now on.
    fn remember(&self, pdu: Arc<Pdu>) {
        self.events.insert(pdu.event_id.clone(), pdu);
    }

    /// Forgets what is cached of an event, because it changed on disk.
    pub(crate) fn evict_event(&self, event: &EventId) {
        self.events.remove(event);
    }

    /// Forgets all events that are kept parsed.
    pub fn clear_cache(&self) {
        self.events.clear();
    }

    fn head(&self, room: &RoomId) -> Arc<AsyncMutex<Head>> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.entry(room.to_owned()).or_default().clone()
    }
}

/// The rules of a room version. 400 `M_UNSUPPORTED_ROOM_VERSION` if this server does not speak it.
pub fn rules_of(version: &RoomVersionId) -> Result<RoomVersionRules> {
    match version {
        RoomVersionId::V10 | RoomVersionId::V11 | RoomVersionId::V12 => version.rules(),
        _ => None,
    }
    .ok_or_else(|| {
        Error::bad_request(
            ruma::api::error::ErrorKind::UnsupportedRoomVersion,
            format!("this server speaks the room versions 10, 11 and 12, not {version}"),
        )
    })
}

/// 404: nobody learns from it whether a room exists that they may not see.
pub fn unknown_room() -> Error {
    Error::not_found("There is no such room, or you are not in it")
}
