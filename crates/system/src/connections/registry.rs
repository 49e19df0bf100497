//! Which connections are open, and which of them gives way.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// How much of an IPv6 address tells one user from another: a household has all that follow.
const IPV6_PREFIX: u32 = 64;

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An IPv4 address, or the first half of an IPv6 address.
    Address(IpAddr),
    /// A socket in the file system.
    Local,
    /// Whom an address that many share speaks for, by the hash of a name, as long as a request of theirs is answered.
    Client(u64),
}

/// Why a connection can give way although a request of it is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EvictionReason {
    /// The body of the request has not come.
    Receiving = 1,
    /// The request waits for something to happen.
    Waiting = 2,
    /// The peer does not read the response.
    Unread = 4,
}

/// What becomes of a connection when others need its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EvictionClass {
    /// It goes before all others of its source.
    Idle,
    /// It goes if none of its source is idle.
    Yields,
    /// It stays.
    Busy,
}

impl Source {
    fn of(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V6(ip)) => {
                let prefix = ip.to_bits() & (u128::MAX << (128 - IPV6_PREFIX));
                Self::Address(Ipv6Addr::from_bits(prefix).into())
            }
            Some(ip) => Self::Address(ip),
        }
    }
}

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Arc<Limits>,
    open: Mutex<Open>,
    /// A connection was closed or became idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// Counts up; tells which connection is idle for longer.
    tick: u64,
    /// Open connections, and those that may be accepted at any moment.
    count: usize,
    /// Connections that were told to go and have not gone.
    leaving: usize,
    connections: HashMap<u64, Entry>,
    sources: HashMap<Source, Share>,
}

#[derive(Debug)]
struct Entry {
    source: Source,
    /// The source that it comes from.
    origin: Source,
    /// Whether many share its address.
    shared: bool,
    answering: bool,
    /// [`EvictionReason`]s, each a bit.
    reasons: u8,
    standing: EvictionClass,
    /// Since when it has this standing.
    since: u64,
    leaving: bool,
    evicted: CancellationToken,
}

#[derive(Debug, Default)]
struct Share {
    /// Without those that are leaving.
    count: usize,
    /// Idle connections, the oldest first.
    idle: BTreeMap<u64, u64>,
    /// Those that yield, the oldest first.
    yielding: BTreeMap<u64, u64>,
}

impl Share {
    fn can_give_way(&self) -> bool {
        !self.idle.is_empty() || !self.yielding.is_empty()
    }

    /// The connections of a standing that can give way.
    fn queue(&mut self, standing: EvictionClass) -> Option<&mut BTreeMap<u64, u64>> {
        match standing {
            EvictionClass::Idle => Some(&mut self.idle),
            EvictionClass::Yields => Some(&mut self.yielding),
            EvictionClass::Busy => None,
        }
    }
}

/// A place for one more connection.
pub(super) struct Slot {
    registry: Arc<Registry>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.registry.lock().count -= 1;
        self.registry.changed.notify_waiters();
    }
}

/// The place of one connection.
pub(super) struct Permit {
    slot: Slot,
    id: u64,
    evicted: CancellationToken,
}

impl Registry {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            open: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing panics while it holds this lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open.
    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// Waits for a place. A connection that can give way does if there is none.
    pub(super) async fn acquire_slot(self: &Arc<Self>) -> Slot {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut open = self.lock();
                if open.count < self.limits.connections_max {
                    open.count += 1;
                    let registry = Arc::clone(self);
                    return Slot { registry };
                }
                if open.leaving == 0 {
                    open.evict_of_most();
                }
            }
            changed.await;
        }
    }

    /// Lets a connection give way because the system has no descriptor left, and waits until something has changed.
    pub(super) async fn make_room(&self) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        self.lock().evict_of_most();
        changed.await;
    }

    /// Gives the place to a connection. Another one of the same address gives way if it has too many; nothing if none can.
    pub(super) fn admit(&self, slot: Slot, ip: Option<IpAddr>) -> Option<Permit> {
        let source = Source::of(ip);
        let shared = ip.is_none_or(|ip| self.limits.is_shared(ip.to_canonical()));
        let mut open = self.lock();
        let count = open.sources.get(&source).map_or(0, |share| share.count);
        if !shared && count >= self.limits.per_address_max && !open.evict_of(source) {
            drop(open);
            return None;
        }
        let evicted = CancellationToken::new();
        let id = open.add(source, shared, evicted.clone());
        drop(open);
        Some(Permit { slot, id, evicted })
    }
}

impl Open {
    fn add(&mut self, source: Source, shared: bool, evicted: CancellationToken) -> u64 {
        self.tick += 1;
        let id = self.tick;
        let entry = Entry {
            source,
            origin: source,
            shared,
            answering: false,
            reasons: 0,
            standing: EvictionClass::Idle,
            since: id,
            leaving: false,
            evicted,
        };
        self.connections.insert(id, entry);
        let share = self.sources.entry(source).or_default();
        share.count += 1;
        share.idle.insert(id, id);
        id
    }

    /// Of the source that has the most connections one gives way.
    fn evict_of_most(&mut self) -> bool {
        let sources = self.sources.iter();
        let candidates = sources.filter(|(_, share)| share.can_give_way());
        let most = candidates.max_by_key(|(_, share)| share.count);
        let most = most.map(|(source, _)| *source);
        most.is_some_and(|source| self.evict_of(source))
    }

    /// The oldest idle connection of a source gives way, or else the oldest that yields.
    fn evict_of(&mut self, source: Source) -> bool {
        let Some(share) = self.sources.get_mut(&source) else {
            return false;
        };
        let oldest = share.idle.pop_first();
        let Some((_, id)) = oldest.or_else(|| share.yielding.pop_first()) else {
            return false;
        };
        share.count -= 1;
        self.leaving += 1;
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.leaving = true;
            entry.evicted.cancel();
        }
        true
    }

    /// Changes what is known of a connection, and puts it where it belongs then.
    fn update(&mut self, id: u64, change: impl FnOnce(&mut Entry)) {
        self.tick += 1;
        let tick = self.tick;
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        if entry.leaving {
            return;
        }
        let (source, standing, since) = (entry.source, entry.standing, entry.since);
        change(entry);
        entry.standing = match (entry.answering, entry.reasons) {
            (false, _) => EvictionClass::Idle,
            (true, 0) => EvictionClass::Busy,
            (true, _) => EvictionClass::Yields,
        };
        if entry.standing != standing || standing == EvictionClass::Idle {
            entry.since = tick;
        }
        let (to, now, place) = (entry.source, entry.standing, entry.since);
        let share = self.sources.entry(source).or_default();
        if let Some(queue) = share.queue(standing) {
            queue.remove(&since);
        }
        if to != source {
            share.count -= 1;
            if share.count == 0 {
                self.sources.remove(&source);
            }
            self.sources.entry(to).or_default().count += 1;
        }
        let share = self.sources.entry(to).or_default();
        if let Some(queue) = share.queue(now) {
            queue.insert(place, id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.connections.remove(&id) else {
            return;
        };
        if entry.leaving {
            self.leaving -= 1;
        }
        let Some(share) = self.sources.get_mut(&entry.source) else {
            return;
        };
        if !entry.leaving {
            if let Some(queue) = share.queue(entry.standing) {
                queue.remove(&entry.since);
            }
            share.count -= 1;
        }
        if share.count == 0 {
            self.sources.remove(&entry.source);
        }
    }
}

impl Permit {
    /// A request is being answered: the connection does not give way without a [`EvictionReason`].
    pub(super) fn busy(&self) {
        self.update(|entry| (entry.answering, entry.reasons) = (true, 0));
    }

    /// Nothing is being answered.
    pub(super) fn idle(&self) {
        self.update(|entry| {
            (entry.answering, entry.reasons) = (false, 0);
            entry.source = entry.origin;
        });
        self.slot.registry.changed.notify_waiters();
    }

    /// The connection can give way for this reason, or not any more.
    pub(super) fn set(&self, reason: EvictionReason, applies: bool) {
        self.update(|entry| {
            if applies {
                entry.reasons |= reason as u8;
            } else {
                entry.reasons &= !(reason as u8);
            }
        });
        if applies {
            self.slot.registry.changed.notify_waiters();
        }
    }

    /// The request comes from this client, if its address does not say so.
    pub(super) fn attribute(&self, client: u64) {
        self.update(|entry| {
            if entry.shared && entry.answering {
                entry.source = Source::Client(client);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        self.slot.registry.lock().update(self.id, change);
    }

    /// Cancelled when the connection has to give way; whoever cancels it closes the connection.
    pub(super) const fn eviction_token(&self) -> &CancellationToken {
        &self.evicted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // The slot is dropped after this, and wakes whoever waits for a place.
        self.slot.registry.lock().remove(self.id);
    }
}
