//! Keys of devices and users for end-to-end encryption, and the messages between devices.
//!
//! The server can read none of what these keys protect; what it has to keep is the order and the exactness of it: no one-time key
//! is given out twice, no message to a device is lost before it was acknowledged, and everybody who shares a room with somebody
//! learns that their devices changed. Whoever changes the keys of a user does so under that user's lock ([`Keys::lock`]).
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption>

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use ruma::{DeviceId, UserId};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    error::Result,
    store::{Batch, tables},
};

pub mod backup;
pub mod cross_signing;
pub mod dehydrated;
pub mod device_lists;
pub mod devices;
pub mod one_time;
pub mod record;
pub mod signatures;
#[cfg(test)]
mod tests;
pub mod to_device;

pub use device_lists::{changed, changes_between};
pub use one_time::{counts as one_time_key_counts, unused_fallback_types};

/// How many locks the users share. More let more users change their keys at the same time.
const LOCKS: usize = 64;

/// The locks under which keys change. Clones are the same.
#[derive(Clone, Debug)]
pub struct Keys {
    locks: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            locks: (0..LOCKS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Keys {
    /// Waits until nobody else changes the keys of these users.
    pub async fn lock<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let which = |user: &UserId| {
            let hash = self.hasher.hash_one(user.as_str());
            usize::try_from(hash % LOCKS as u64).unwrap_or_default()
        };
        // Everybody takes locks in the same order, so that no two wait for each other.
        let wanted: BTreeSet<usize> = users.into_iter().map(which).collect();
        let mut guards = Vec::with_capacity(wanted.len());
        for lock in wanted {
            guards.push(self.locks[lock].clone().lock_owned().await);
        }
        guards
    }
}

/// Removes everything that belongs to a device that is deleted: its keys, the signatures on them, the messages that wait for it.
/// Whoever deletes devices also calls [`changed`], once for all devices of the user, in the same batch.
pub fn forget_device(batch: &mut Batch, user: &UserId, device: &DeviceId) -> Result<()> {
    batch.delete::<tables::DeviceKeys>((user, device))?;
    batch.delete_all::<tables::OneTimeKeys>((user, device))?;
    batch.delete_all::<tables::FallbackKeys>((user, device))?;
    batch.delete_all::<tables::KeySignatures>((user, device.as_str()))?;
    batch.delete_all::<tables::ToDevice>((user, device))?;
    Ok(())
}
