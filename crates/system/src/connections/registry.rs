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
    /// Since when it is idle.
    idle: Option<u64>,
    leaving: bool,
    evicted: CancellationToken,
}

#[derive(Debug, Default)]
struct Share {
    /// Without those that are leaving.
    count: usize,
    /// Idle connections, the oldest first.
    idle: BTreeMap<u64, u64>,
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

    /// Waits for a place. An idle connection gives way if there is none.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot {
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

    /// Lets an idle connection give way because the system has no descriptor left, and waits until something has changed.
    pub(super) async fn make_room(&self) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        self.lock().evict_of_most();
        changed.await;
    }

    /// Gives the place to a connection. An idle one of the same address gives way if it has too many; nothing if none is idle.
    pub(super) fn admit(&self, slot: Slot, ip: Option<IpAddr>) -> Option<Permit> {
        let source = Source::of(ip);
        let limited = ip.is_some_and(|ip| !self.limits.is_shared(ip.to_canonical()));
        let mut open = self.lock();
        let count = open.sources.get(&source).map_or(0, |share| share.count);
        if limited && count >= self.limits.per_address_max && !open.evict_of(source) {
            drop(open);
            return None;
        }
        let evicted = CancellationToken::new();
        let id = open.add(source, evicted.clone());
        drop(open);
        Some(Permit { slot, id, evicted })
    }
}

impl Open {
    fn add(&mut self, source: Source, evicted: CancellationToken) -> u64 {
        self.tick += 1;
        let id = self.tick;
        let entry = Entry {
            source,
            idle: Some(id),
            leaving: false,
            evicted,
        };
        self.connections.insert(id, entry);
        let share = self.sources.entry(source).or_default();
        share.count += 1;
        share.idle.insert(id, id);
        id
    }

    /// The oldest idle connection of the address that has the most connections gives way.
    fn evict_of_most(&mut self) -> bool {
        let idle = self
            .sources
            .iter()
            .filter(|(_, share)| !share.idle.is_empty());
        let most = idle.max_by_key(|(_, share)| share.count);
        let most = most.map(|(source, _)| *source);
        most.is_some_and(|source| self.evict_of(source))
    }

    fn evict_of(&mut self, source: Source) -> bool {
        let Some(share) = self.sources.get_mut(&source) else {
            return false;
        };
        let Some((_, id)) = share.idle.pop_first() else {
            return false;
        };
        share.count -= 1;
        self.leaving += 1;
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.idle = None;
            entry.leaving = true;
            entry.evicted.cancel();
        }
        true
    }

    fn set_idle(&mut self, id: u64, idle: bool) {
        self.tick += 1;
        let tick = self.tick;
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        if entry.leaving {
            return;
        }
        let share = self.sources.entry(entry.source).or_default();
        if let Some(before) = entry.idle.take() {
            share.idle.remove(&before);
        }
        if idle {
            entry.idle = Some(tick);
            share.idle.insert(tick, id);
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
        if let Some(idle) = entry.idle {
            share.idle.remove(&idle);
        }
        if !entry.leaving {
            share.count -= 1;
        }
        if share.count == 0 {
            self.sources.remove(&entry.source);
        }
    }
}

impl Permit {
    /// A request is being answered: the connection does not give way.
    pub(super) fn busy(&self) {
        self.slot.registry.lock().set_idle(self.id, false);
    }

    /// Nothing is being answered.
    pub(super) fn idle(&self) {
        self.slot.registry.lock().set_idle(self.id, true);
        self.slot.registry.changed.notify_waiters();
    }

    /// Ready when the connection has to give way.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // The slot is dropped after this, and wakes whoever waits for a place.
        self.slot.registry.lock().remove(self.id);
    }
}
