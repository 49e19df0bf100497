//! The one order of everything that happens: stream positions, and who waits for them.
//!
//! Every change takes a [`Place`] before it is written. [`Stream::visible`] is the highest position below which nothing is still
//! being written: readers never look beyond it, so a token that was handed out never skips a change that came to disk late.
//! A waiter registers before it reads, so that no wake-up is lost between reading and waiting.
//!
//! Positions of changes that only live in memory (typing, presence) come from the same stream. So that a restart never hands one
//! out twice, positions are used up in blocks whose end is on disk before the first of them is used.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::{Batch, Store, StoreError, tables};

#[cfg(test)]
mod tests;

/// How many positions a block has. A restart skips what is left of one.
const BLOCK: u64 = 10_000;

/// A place in the order of everything that happens on this server. Zero is before everything.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// Behind everything that can ever happen.
    pub const MAX: Self = Self(u64::MAX);

    /// The position right after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position right before this one.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened at a position, for those who follow everything (application services, pushers).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// An event was appended to a room.
    Event(OwnedRoomId, OwnedEventId),
    /// A receipt was sent: room and reader.
    Receipt(OwnedRoomId, OwnedUserId),
    /// A message was left for a device.
    ToDevice(OwnedUserId, OwnedDeviceId),
    /// The devices or keys of a user changed.
    DeviceList(OwnedUserId),
    /// Account data of a user changed.
    AccountData(OwnedUserId),
}

/// Whose sync a change belongs to.
#[derive(Clone, Debug)]
pub enum Touch {
    /// Everybody who is in the room.
    Room(OwnedRoomId),
    /// One user.
    User(OwnedUserId),
    /// Everybody.
    Everyone,
}

/// The order of everything. Clones are the same stream.
#[derive(Clone, Debug)]
pub struct Stream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    places: Mutex<Places>,
    visible: watch::Sender<Position>,
    waiters: Mutex<HashMap<OwnedUserId, watch::Sender<Position>>>,
    /// Cancelled when nobody shall wait any longer.
    ending: CancellationToken,
}

#[derive(Debug)]
struct Places {
    /// The position that is handed out next.
    next: u64,
    /// The first position that may not be handed out yet.
    block_end: u64,
    /// Positions that are taken and not visible yet, and whom each wakes once it is done.
    open: BTreeMap<u64, Option<Vec<Touch>>>,
}

/// One or more positions that are taken and not visible yet. Dropped without [`Stream::commit`], they stay empty for ever.
#[derive(Debug)]
#[must_use = "a place holds back all later changes until it is committed or dropped"]
pub struct Place {
    stream: Stream,
    taken: Vec<Position>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks; what they protect is consistent after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// The stream of this database, behind everything that it ever handed out.
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let last_block = store
            .get::<tables::Meta>(("positions",))?
            .and_then(|end| end.as_u64())
            .unwrap_or(1);
        let places = Places {
            next: last_block,
            block_end: last_block,
            open: BTreeMap::new(),
        };
        let visible = watch::Sender::new(Position(last_block.saturating_sub(1)));
        let inner = Inner {
            store,
            places: Mutex::new(places),
            visible,
            waiters: Mutex::default(),
            ending: CancellationToken::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// A place that has no position yet; [`Place::take`] gives it some.
    pub fn place(&self) -> Place {
        Place {
            stream: self.clone(),
            taken: Vec::new(),
        }
    }

    /// Everything up to here is on disk and can be read.
    pub fn visible(&self) -> Position {
        *self.inner.visible.borrow()
    }

    /// Follows [`Stream::visible`], for those who follow everything.
    pub fn follow(&self) -> watch::Receiver<Position> {
        self.inner.visible.subscribe()
    }

    /// Registers a waiter for what concerns this user. Register first, then read, then wait.
    pub fn watch(&self, user: &UserId) -> Watcher {
        let mut waiters = lock(&self.inner.waiters);
        let sender = waiters
            .entry(user.to_owned())
            .or_insert_with(|| watch::Sender::new(Position(0)));
        Watcher {
            changed: sender.subscribe(),
            user: user.to_owned(),
            stream: self.clone(),
        }
    }

    /// Lets nobody wait any longer, now and from now on: the server ends, and who waits is answered with what there is.
    pub fn end_waiting(&self) {
        self.inner.ending.cancel();
    }

    /// Writes the batch and makes its positions visible. Returns when they are: what is acknowledged can be read.
    ///
    /// The batch is written and the place is given free even if the caller is not there any more.
    pub async fn commit(
        &self,
        place: Place,
        batch: Batch,
        touches: Vec<Touch>,
    ) -> Result<Position, StoreError> {
        let last = place
            .taken
            .last()
            .copied()
            .unwrap_or_else(|| self.visible());
        let mut visible = self.inner.visible.subscribe();
        let store = self.inner.store.clone();
        tokio::task::spawn_blocking(move || {
            store.commit_blocking(batch)?;
            place.done(touches);
            Ok::<(), StoreError>(())
        })
        .await
        .map_err(|_| StoreError::Lost)??;
        visible
            .wait_for(|&visible| visible >= last)
            .await
            .map_err(|_| StoreError::Lost)?;
        Ok(last)
    }

    /// Makes a change visible that lives in memory only: gives it a position, and wakes those whom it concerns.
    pub fn announce(&self, touches: Vec<Touch>) -> Result<Position, StoreError> {
        let mut place = self.place();
        let position = place.take()?;
        place.done(touches);
        Ok(position)
    }

    fn take(&self) -> Result<Position, StoreError> {
        let mut places = lock(&self.inner.places);
        if places.next >= places.block_end {
            let end = places.next + BLOCK;
            let mut batch = self.inner.store.batch();
            batch.put::<tables::Meta>(("positions",), &end.into())?;
            self.inner.store.commit_blocking(batch)?;
            places.block_end = end;
        }
        let position = places.next;
        places.next += 1;
        places.open.insert(position, None);
        Ok(Position(position))
    }

    /// Closes positions, and moves the visible one as far as nothing is open below it.
    fn close(&self, taken: &[Position], touches: Vec<Touch>) {
        let Some(last) = taken.last() else { return };
        let mut woken = Vec::new();
        let mut places = lock(&self.inner.places);
        for position in taken {
            places.open.insert(position.0, Some(Vec::new()));
        }
        places.open.insert(last.0, Some(touches));
        while let Some(entry) = places.open.first_entry() {
            if entry.get().is_none() {
                break;
            }
            woken.extend(entry.remove().unwrap_or_default());
        }
        let visible = places
            .open
            .first_key_value()
            .map_or(places.next, |(&open, _)| open)
            .saturating_sub(1);
        // Still under the lock, so that the visible position never goes back.
        self.inner.visible.send_if_modified(|now| {
            let ahead = Position(visible) > *now;
            if ahead {
                *now = Position(visible);
            }
            ahead
        });
        drop(places);
        self.wake(&woken, Position(visible));
    }

    fn wake(&self, touches: &[Touch], position: Position) {
        if touches.is_empty() {
            return;
        }
        let waiters = lock(&self.inner.waiters);
        for (user, sender) in waiters.iter() {
            if touches.iter().any(|touch| self.concerns(touch, user)) {
                sender.send_replace(position);
            }
        }
    }

    fn concerns(&self, touch: &Touch, user: &UserId) -> bool {
        match touch {
            Touch::Everyone => true,
            Touch::User(touched) => touched == user,
            Touch::Room(room) => self.is_member(room, user),
        }
    }

    fn is_member(&self, room: &RoomId, user: &UserId) -> bool {
        // Whoever cannot be judged is woken: a needless look costs less than a message that waits.
        self.inner
            .store
            .get::<tables::Members>((room, user))
            .map_or(true, |member| {
                member.is_some_and(|member| member.is_joined())
            })
    }
}

impl Place {
    /// Takes the next position.
    ///
    /// # Errors
    ///
    /// If a new block of positions could not be written.
    pub fn take(&mut self) -> Result<Position, StoreError> {
        let position = self.stream.take()?;
        self.taken.push(position);
        Ok(position)
    }

    fn done(mut self, touches: Vec<Touch>) {
        let taken = std::mem::take(&mut self.taken);
        self.stream.close(&taken, touches);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.stream.close(&taken, Vec::new());
    }
}

/// Waits for what concerns one user.
#[derive(Debug)]
pub struct Watcher {
    changed: watch::Receiver<Position>,
    user: OwnedUserId,
    stream: Stream,
}

impl Watcher {
    /// Waits until something concerns the user that happened after the watcher was made or last waited, at most for `limit`,
    /// and not at all once the server ends. Says whether something did.
    pub async fn wait(&mut self, limit: Duration) -> bool {
        let ending = &self.stream.inner.ending;
        let changed = ending.run_until_cancelled(self.changed.changed());
        matches!(tokio::time::timeout(limit, changed).await, Ok(Some(Ok(()))))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut waiters = lock(&self.stream.inner.waiters);
        // The last one turns off the light; this receiver is still counted.
        if waiters
            .get(&self.user)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiters.remove(&self.user);
        }
    }
}
