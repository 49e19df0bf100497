//! The one order of everything that happens: stream positions, and who waits for them.
//!
//! Every change gets its positions right before it is written. [`Stream::visible`] is the highest position below which nothing is
//! still being written: readers never look beyond it, so a token that was handed out never skips a change that came to disk late.
//! A waiter registers before it reads, so that no wake-up is lost between reading and waiting.
//!
//! An open position holds back everybody's later changes. That is why no code outside of this module can hold one: a [`Write`] is
//! put together without positions, and its rows are told theirs when there is nothing left to be worked out.
//!
//! Positions of changes that only live in memory (typing, presence) come from the same stream. So that a restart never hands one
//! out twice, positions are used up in blocks whose end is on disk before the first of them is used.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::store::records::stream::Change;
use crate::store::{Store, StoreError, tables};

mod write;

pub use homeserver_model::Position;
pub use write::{Positions, Slot, Write};

#[cfg(test)]
mod tests;

/// How many positions a block has. A restart skips what is left of one.
const BLOCK: u64 = 10_000;
/// From how many positions on a write is large: of these, one is written at a time.
const LARGE_WRITE_POSITIONS: u64 = 50;

/// Whose sync a change belongs to.
#[derive(Clone, Debug)]
pub enum WakeTarget {
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
    places: Mutex<PositionAllocator>,
    /// Held by the large write that has positions.
    large_write: Mutex<()>,
    visible: watch::Sender<Position>,
    waiters: Mutex<HashMap<OwnedUserId, watch::Sender<Position>>>,
    /// Cancelled when nobody shall wait any longer.
    ending: CancellationToken,
}

#[derive(Debug)]
struct PositionAllocator {
    /// The position that is handed out next.
    next: u64,
    /// The first position that may not be handed out yet.
    block_end: u64,
    /// Positions that are taken and not visible yet: the first of each write, and whom it wakes once it is done.
    open: BTreeMap<u64, Option<Vec<WakeTarget>>>,
}

/// Positions that are taken and not visible yet. Dropped without [`ReservedPositions::done`], they stay empty for ever.
#[derive(Debug)]
struct ReservedPositions {
    stream: Stream,
    first: u64,
    count: u64,
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
        let places = PositionAllocator {
            next: last_block,
            block_end: last_block,
            open: BTreeMap::new(),
        };
        let visible = watch::Sender::new(Position(last_block.saturating_sub(1)));
        let inner = Inner {
            store,
            places: Mutex::new(places),
            large_write: Mutex::default(),
            visible,
            waiters: Mutex::default(),
            ending: CancellationToken::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The database that it is the order of.
    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// A write without rows yet.
    pub fn begin_write(&self) -> Write {
        Write::new(self.inner.store.batch())
    }

    /// Everything up to here is on disk and can be read.
    pub fn visible(&self) -> Position {
        *self.inner.visible.borrow()
    }

    /// Follows [`Stream::visible`], for those who follow everything.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
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
    pub fn cancel_waiters(&self) {
        self.inner.ending.cancel();
    }

    /// Writes the rows and makes their positions visible. Returns when they are: what is acknowledged can be read.
    ///
    /// The rows are written and the positions are closed even if the caller is not there any more.
    pub async fn commit(&self, write: Write) -> Result<Position, StoreError> {
        let stream = self.clone();
        let last = tokio::task::spawn_blocking(move || stream.commit_blocking(write))
            .await
            .map_err(|_| StoreError::Lost)??;
        self.wait_until_visible(last).await?;
        Ok(last)
    }

    /// Writes the rows and gives the last of their positions, which readers may not see yet: see [`Stream::wait_until_visible`]. Blocks.
    pub(crate) fn commit_blocking(&self, write: Write) -> Result<Position, StoreError> {
        let Write {
            mut batch,
            rows,
            positions,
            wake_targets,
        } = write;
        // Before the positions: a message that comes now waits for one large write at most, not for all that are ready.
        let large = positions >= LARGE_WRITE_POSITIONS;
        let _one_at_a_time = large.then(|| lock(&self.inner.large_write));
        let place = self.take(positions)?;
        // Nothing but writing from here on: everybody's later changes wait for this place.
        for row in rows {
            row(&mut batch, Positions { first: place.first })?;
        }
        self.inner.store.commit_blocking(batch)?;
        let last = place.last().unwrap_or_else(|| self.visible());
        place.done(&wake_targets);
        Ok(last)
    }

    /// Waits until readers see everything up to this position.
    pub(crate) async fn wait_until_visible(&self, position: Position) -> Result<(), StoreError> {
        let mut visible = self.inner.visible.subscribe();
        let shown = visible.wait_for(|&visible| visible >= position).await;
        shown.map(drop).map_err(|_| StoreError::Lost)
    }

    /// Makes a change visible that lives in memory only: `change` is told its position, and then those are woken whom it concerns.
    /// Everybody's later changes wait for `change`, which must do no more than to note the position.
    pub fn announce(
        &self,
        touches: &[WakeTarget],
        change: impl FnOnce(Position),
    ) -> Result<Position, StoreError> {
        let place = self.take(1)?;
        let position = Position(place.first);
        change(position);
        place.done(touches);
        Ok(position)
    }

    fn take(&self, count: u64) -> Result<ReservedPositions, StoreError> {
        let mut places = lock(&self.inner.places);
        let first = places.next;
        let next = first + count;
        if next > places.block_end {
            let end = next + BLOCK;
            let mut batch = self.inner.store.batch();
            batch.put::<tables::Meta>(("positions",), &end.into())?;
            self.inner.store.commit_blocking(batch)?;
            places.block_end = end;
        }
        places.next = next;
        if count > 0 {
            places.open.insert(first, None);
        }
        drop(places);
        Ok(ReservedPositions {
            stream: self.clone(),
            first,
            count,
        })
    }

    /// Closes positions, and moves the visible one as far as nothing is open below it.
    fn close(&self, first: u64, touches: &[WakeTarget]) {
        let mut woken = Vec::new();
        let mut places = lock(&self.inner.places);
        places.open.insert(first, Some(touches.to_vec()));
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

    /// Wakes those whom the changes concern. Who is in a room is read while no lock is held: everybody's sync takes that of the
    /// waiters.
    fn wake(&self, touches: &[WakeTarget], position: Position) {
        if touches.is_empty() {
            return;
        }
        let concerned = Concerned::by(touches);
        let waiting: Vec<OwnedUserId> = lock(&self.inner.waiters).keys().cloned().collect();
        let woken = waiting
            .iter()
            .filter(|user| self.concerns(&concerned, user));
        let woken: Vec<&OwnedUserId> = woken.collect();
        let waiters = lock(&self.inner.waiters);
        for sender in woken.into_iter().filter_map(|user| waiters.get(user)) {
            sender.send_replace(position);
        }
    }

    fn concerns(&self, concerned: &Concerned<'_>, user: &UserId) -> bool {
        concerned.everyone
            || concerned.users.contains(user)
            || concerned
                .rooms
                .iter()
                .any(|room| self.is_member(room, user))
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

    /// How many writes have positions that are not visible yet.
    #[cfg(test)]
    pub(crate) fn open_places(&self) -> usize {
        let places = lock(&self.inner.places);
        places.open.values().filter(|open| open.is_none()).count()
    }
}

/// Whom some changes concern, each once: a message to a thousand devices of one user is one user.
#[derive(Default)]
struct Concerned<'a> {
    everyone: bool,
    users: HashSet<&'a UserId>,
    rooms: HashSet<&'a RoomId>,
}

impl<'a> Concerned<'a> {
    fn by(touches: &'a [WakeTarget]) -> Self {
        let mut concerned = Self::default();
        for touch in touches {
            match touch {
                WakeTarget::Everyone => concerned.everyone = true,
                WakeTarget::User(user) => _ = concerned.users.insert(user),
                WakeTarget::Room(room) => _ = concerned.rooms.insert(room),
            }
        }
        concerned
    }
}

impl ReservedPositions {
    fn last(&self) -> Option<Position> {
        (self.count > 0).then(|| Position(self.first + self.count - 1))
    }

    fn done(mut self, touches: &[WakeTarget]) {
        if std::mem::take(&mut self.count) > 0 {
            self.stream.close(self.first, touches);
        }
    }
}

impl Drop for ReservedPositions {
    fn drop(&mut self) {
        if self.count > 0 {
            self.stream.close(self.first, &[]);
        }
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
