//! One lock per key, for as long as somebody holds or awaits it.
//!
//! Locks that several keys share would let the work of one user hold up another by chance. These are exact: whoever waits, waits
//! for somebody who changes the very same thing. Memory does not grow with the keys, because an unused lock is removed.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by key. Clones are the same locks.
#[derive(Debug)]
pub struct KeyedLocks<K> {
    locks: Arc<Mutex<HashMap<K, Arc<AsyncMutex<()>>>>>,
}

impl<K> Clone for KeyedLocks<K> {
    fn clone(&self) -> Self {
        Self {
            locks: Arc::clone(&self.locks),
        }
    }
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self {
            locks: Arc::default(),
        }
    }
}

/// Holds the locks of some keys until it is dropped.
#[derive(Debug)]
#[must_use = "a lock that is dropped at once protects nothing"]
pub struct KeyedGuard<K: Eq + Hash> {
    locks: KeyedLocks<K>,
    held: Vec<(K, Option<OwnedMutexGuard<()>>)>,
}

impl<K: Clone + Eq + Hash + Ord> KeyedLocks<K> {
    /// Waits until nobody else holds any of these keys. One call takes its keys in their order, so that no two wait for each
    /// other; whoever holds keys already must not ask for more of the same locks.
    pub async fn lock(&self, keys: impl IntoIterator<Item = K>) -> KeyedGuard<K> {
        let keys: BTreeSet<K> = keys.into_iter().collect();
        // Filled while waiting: a caller who gives up removes what nobody else uses.
        let mut guard = KeyedGuard {
            locks: self.clone(),
            held: Vec::with_capacity(keys.len()),
        };
        for key in keys {
            let lock = self.map().entry(key.clone()).or_default().clone();
            guard.held.push((key, None));
            let held = lock.lock_owned().await;
            if let Some(last) = guard.held.last_mut() {
                last.1 = Some(held);
            }
        }
        guard
    }

    /// How many hold or await this key.
    #[cfg(test)]
    pub(crate) fn interested(&self, key: &K) -> usize {
        let map = self.map();
        map.get(key).map_or(0, |lock| Arc::strong_count(lock) - 1)
    }

    /// How many keys somebody holds or awaits.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.map().len()
    }
}

impl<K> KeyedLocks<K> {
    fn map(&self) -> MutexGuard<'_, HashMap<K, Arc<AsyncMutex<()>>>> {
        // Nothing panics while it holds this lock.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for KeyedGuard<K> {
    fn drop(&mut self) {
        for (key, held) in self.held.drain(..) {
            let mut map = self.locks.map();
            drop(held);
            // Under the lock of the map nobody can begin to use it.
            if map
                .get(&key)
                .is_some_and(|lock| Arc::strong_count(lock) == 1)
            {
                map.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::KeyedLocks;

    #[tokio::test]
    async fn keyed_lock_waits_for_the_same_key_only() {
        let locks = KeyedLocks::default();
        let held = locks.lock(["a", "b"]).await;
        assert!(locks.lock(["c"]).now_or_never().is_some());
        assert!(locks.lock(["b"]).now_or_never().is_none());
        assert!(locks.lock(["c", "a"]).now_or_never().is_none());
        drop(held);
        assert!(locks.lock(["a", "b", "c"]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn unused_locks_are_removed_also_after_cancelled_waits() {
        let locks = KeyedLocks::default();
        let held = locks.lock(["a"]).await;
        assert!(locks.lock(["a", "b"]).now_or_never().is_none());
        assert_eq!(locks.in_use(), 1);
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { drop(locks.lock(["a"]).await) }
        });
        tokio::task::yield_now().await;
        drop(held);
        waiting.await.unwrap();
        assert_eq!(locks.in_use(), 0);
    }
}
