//! One after the other: changes of one user that read before they write.
//!
//! A receipt looks where the last one stood, a tag is added to those that are there. Users share a few locks, so that the changes
//! of different users usually do not wait for each other, and memory does not grow with them.

use std::hash::{BuildHasher, RandomState};

use ruma::UserId;
use tokio::sync::{Mutex, MutexGuard};

/// How many locks all users share.
const LOCKS: usize = 32;

/// The locks.
#[derive(Debug)]
pub struct Serial {
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl Default for Serial {
    fn default() -> Self {
        Self {
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        }
    }
}

impl Serial {
    /// Waits until nobody else changes what belongs to the user. Do not take two of them at once.
    pub async fn of(&self, user: &UserId) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(user.as_str());
        let lock = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        self.locks[lock].lock().await
    }
}
