//! Memory that peers fill and empty: bytes of request bodies that arrive, and of answers that wait for their reader.
//!
//! A [`crate::permits::Permits`] is for work that ends by itself. A transfer ends when its peer likes, so it is counted by the bytes
//! that are there, not by those that are announced, and it can be taken back: when somebody waits for the pool, the oldest transfer
//! of the holder that has the most gives way. A transfer that is complete (a body that has arrived) does not: it ends with its request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::holder::Holder;

mod limits;
mod pools;
#[cfg(test)]
mod tests;

pub use limits::{PoolLimits, Waiters};
pub use pools::{BodyPools, UnreadResponses};

/// A transfer below this many bytes a second is slow: it gives way even to its own holder.
const SLOW_BYTES_PER_SECOND: u64 = 32 << 10;
/// How often somebody who waits looks again whether a transfer has become slow.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// There is no room, and nobody gave way in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolFull {
    /// The holder's own share is used up.
    Share,
    /// Everything is.
    Total,
}

/// A pool of bytes. Clones are the same pool.
#[derive(Clone, Debug)]
pub struct BytePool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: PoolLimits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    held: usize,
    /// Of `held`, what transfers hold that were told to go.
    leaving: usize,
    /// How many wait, by what they wait for.
    waiting: [usize; 2],
    holders: HashMap<Holder, Holding>,
    transfers: HashMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    bytes: usize,
    transfers: usize,
    waiting: [usize; 2],
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// So many bytes more.
    Growth(usize),
    /// That a byte would fit.
    Room,
}

impl Wanted {
    const fn bytes(self) -> usize {
        match self {
            Self::Growth(bytes) => bytes,
            Self::Room => 1,
        }
    }

    /// Where its waiters are counted.
    const fn index(self) -> usize {
        match self {
            Self::Growth(_) => 0,
            Self::Room => 1,
        }
    }

    const fn waiters(self, limits: &PoolLimits) -> Waiters {
        match self {
            Self::Growth(_) => limits.growing,
            Self::Room => limits.beginning,
        }
    }
}

#[derive(Debug)]
struct Entry {
    holder: Holder,
    bytes: usize,
    moved: u64,
    since: Instant,
    gives_way: bool,
    leaving: bool,
    cut: CancellationToken,
}

impl Entry {
    fn is_slow(&self, now: Instant) -> bool {
        self.moved < now.duration_since(self.since).as_secs() * SLOW_BYTES_PER_SECOND
    }
}

/// The bytes of one body or answer, given back when this is dropped.
#[derive(Debug)]
pub struct Transfer {
    pool: BytePool,
    id: u64,
    cut: CancellationToken,
}

impl BytePool {
    /// A pool of which nothing is held.
    pub fn new(limits: PoolLimits) -> Self {
        let inner = Inner {
            limits,
            state: Mutex::default(),
            changed: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A transfer that holds nothing yet. `cut` is cancelled when it has to give way.
    pub fn transfer(&self, holder: &Holder, cut: CancellationToken) -> Transfer {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        let entry = Entry {
            holder: holder.clone(),
            bytes: 0,
            moved: 0,
            since: Instant::now(),
            gives_way: true,
            leaving: false,
            cut: cut.clone(),
        };
        state.transfers.insert(id, entry);
        state.holders.entry(holder.clone()).or_default().transfers += 1;
        drop(state);
        Transfer {
            pool: self.clone(),
            id,
            cut,
        }
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.lock().held
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock.
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn share_of(&self, holder: &Holder) -> usize {
        match holder {
            Holder::Appservice(_) => self.inner.limits.share.appservice,
            _ => self.inner.limits.share.user,
        }
    }
}

impl Transfer {
    /// Takes this many bytes more, and waits for them if need be.
    ///
    /// # Errors
    ///
    /// If there is no room in time, or too many wait already. What is held stays held.
    pub async fn grow(&self, bytes: usize) -> Result<(), PoolFull> {
        self.wait_for(Wanted::Growth(bytes)).await
    }

    /// Waits until there is room for more, without taking it: for whoever does not know yet how much it will be.
    ///
    /// # Errors
    ///
    /// If there is none in time, or too many wait already.
    pub async fn wait_for_room(&self) -> Result<(), PoolFull> {
        self.wait_for(Wanted::Room).await
    }

    async fn wait_for(&self, wanted: Wanted) -> Result<(), PoolFull> {
        let Err(full) = self.try_take(wanted) else {
            return Ok(());
        };
        let limits = self.pool.inner.limits;
        let end = Instant::now() + limits.wait;
        let _waiting = Waiting::begin(self, wanted).ok_or(full)?;
        loop {
            let changed = self.pool.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Err(full) = self.try_take(wanted) else {
                return Ok(());
            };
            if Instant::now() >= end {
                return Err(full);
            }
            let look = self
                .pool
                .lock()
                .let_give_way(self.id, wanted.bytes(), full, &limits);
            tokio::select! {
                () = changed => {}
                () = sleep_until(look.min(end)) => {}
            }
        }
    }

    fn try_take(&self, wanted: Wanted) -> Result<(), PoolFull> {
        let mut state = self.pool.lock();
        let Some(entry) = state.transfers.get(&self.id) else {
            return Ok(());
        };
        let (holder, bytes) = (entry.holder.clone(), wanted.bytes());
        let share = self.pool.share_of(&holder);
        let own = state.of(&holder).bytes;
        // One that is alone may be larger than the share: nothing of its own would ever make room for it.
        if own > entry.bytes && own + bytes > share {
            return Err(PoolFull::Share);
        }
        if state.held + bytes.min(share) > self.pool.inner.limits.total {
            return Err(PoolFull::Total);
        }
        if let Wanted::Growth(bytes) = wanted {
            state.add(self.id, bytes);
        }
        Ok(())
    }

    /// So many bytes were sent or have come.
    pub fn record_transferred(&self, bytes: usize) {
        if let Some(entry) = self.pool.lock().transfers.get_mut(&self.id) {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            entry.moved = entry.moved.saturating_add(bytes);
        }
    }

    /// The peer has done its part: the transfer does not give way any more.
    pub fn complete(&self) {
        if let Some(entry) = self.pool.lock().transfers.get_mut(&self.id) {
            entry.gives_way = false;
        }
    }

    /// Ready when the transfer has to give way.
    pub async fn gave_way(&self) {
        self.cut.cancelled().await;
    }

    /// Whether the transfer has to give way.
    pub fn has_to_give_way(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.pool.lock().remove(self.id);
        self.pool.inner.changed.notify_waiters();
    }
}

/// Somebody who waits.
struct Waiting<'a> {
    pool: &'a BytePool,
    holder: Holder,
    index: usize,
}

impl<'a> Waiting<'a> {
    /// Nothing if too many wait already.
    fn begin(transfer: &'a Transfer, wanted: Wanted) -> Option<Self> {
        let (pool, index) = (&transfer.pool, wanted.index());
        let most = wanted.waiters(&pool.inner.limits);
        let mut state = pool.lock();
        let holder = state.transfers.get(&transfer.id)?.holder.clone();
        let own = state.of(&holder).waiting[index];
        if own >= most.per_holder || state.waiting[index] >= most.total {
            return None;
        }
        state.waiting[index] += 1;
        let holding = state.holders.entry(holder.clone()).or_default();
        holding.waiting[index] += 1;
        drop(state);
        Some(Self {
            pool,
            holder,
            index,
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.waiting[self.index] -= 1;
        if let Some(holding) = state.holders.get_mut(&self.holder) {
            holding.waiting[self.index] -= 1;
        }
    }
}

impl State {
    fn of(&self, holder: &Holder) -> Holding {
        self.holders.get(holder).copied().unwrap_or_default()
    }

    fn add(&mut self, id: u64, bytes: usize) {
        let Some(entry) = self.transfers.get_mut(&id) else {
            return;
        };
        if entry.bytes == 0 {
            entry.since = Instant::now();
        }
        entry.bytes += bytes;
        self.held += bytes;
        if entry.leaving {
            self.leaving += bytes;
        }
        if let Some(holding) = self.holders.get_mut(&entry.holder) {
            holding.bytes += bytes;
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.transfers.remove(&id) else {
            return;
        };
        self.held -= entry.bytes;
        if entry.leaving {
            self.leaving -= entry.bytes;
        }
        if let Some(holding) = self.holders.get_mut(&entry.holder) {
            holding.bytes -= entry.bytes;
            holding.transfers -= 1;
            if holding.transfers == 0 {
                self.holders.remove(&entry.holder);
            }
        }
    }

    /// Tells one transfer to go so that `id` can grow, if there is one that has to. Gives when to look again.
    fn let_give_way(
        &mut self,
        id: u64,
        bytes: usize,
        full: PoolFull,
        limits: &PoolLimits,
    ) -> Instant {
        let now = Instant::now();
        let look = now + LOOK_INTERVAL;
        let Some(growing) = self.transfers.get(&id) else {
            return look;
        };
        let holder = growing.holder.clone();
        let wanted = self.of(&holder).bytes + bytes;
        if full == PoolFull::Total && self.held - self.leaving + bytes <= limits.total {
            return look;
        }
        let mut next = look;
        let mut victim: Option<(usize, Instant, u64)> = None;
        for (&other, entry) in &self.transfers {
            let mine = entry.holder == holder;
            if other == id || entry.bytes == 0 || !entry.gives_way {
                continue;
            }
            if full == PoolFull::Share && !mine {
                continue;
            }
            if entry.leaving {
                if full == PoolFull::Share {
                    return look;
                }
                continue;
            }
            let due = entry.since + limits.grace;
            if due > now {
                next = next.min(due);
                continue;
            }
            let has = self.of(&entry.holder).bytes;
            if !entry.is_slow(now) && (full == PoolFull::Share || has <= wanted) {
                continue;
            }
            let better = victim
                .is_none_or(|(most, since, _)| has > most || (has == most && entry.since < since));
            if better {
                victim = Some((has, entry.since, other));
            }
        }
        if let Some((_, _, other)) = victim
            && let Some(entry) = self.transfers.get_mut(&other)
        {
            entry.leaving = true;
            self.leaving += entry.bytes;
            entry.cut.cancel();
        }
        next
    }
}
