//! Keys of devices and users for end-to-end encryption, and the messages between devices.
//!
//! The server can read none of what these keys protect; what it has to keep is the order and the exactness of it: no one-time key
//! is given out twice, no message to a device is lost before it was acknowledged, and everybody who shares a room with somebody
//! learns that their devices changed. Whoever changes the keys of a user does so under that user's lock ([`Keys::lock`]).
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption>

use ruma::{DeviceId, OwnedUserId, UserId};

use crate::{
    error::Result,
    locks::{KeyedGuard, KeyedLocks},
    store::{Batch, Store, tables},
    stream::Stream,
};

pub mod backup;
pub mod cross_signing;
pub mod dehydrated;
pub mod device_lists;
pub mod devices;
pub mod one_time;
pub mod signatures;
#[cfg(test)]
pub(crate) mod tests;
pub mod to_device;

pub use crate::store::records::keys as record;

pub use device_lists::{changes_between, record_device_list_change};
pub use one_time::{counts as one_time_key_counts, unused_fallback_types};

/// All keys. Clones are the same keys.
#[derive(Clone, Debug)]
pub struct Keys {
    pub(crate) store: Store,
    pub(crate) stream: Stream,
    /// The locks under which keys change, one for each user.
    locks: KeyedLocks<OwnedUserId>,
}

impl Keys {
    /// The keys in this database.
    pub fn new(store: Store, stream: Stream) -> Self {
        Self {
            store,
            stream,
            locks: KeyedLocks::default(),
        }
    }

    /// Waits until nobody else changes the keys of these users.
    pub async fn lock<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> KeyedGuard<OwnedUserId> {
        let users: Vec<OwnedUserId> = users.into_iter().map(ToOwned::to_owned).collect();
        self.locks.lock(users).await
    }

    /// How many hold or await the lock of this user.
    #[cfg(test)]
    pub(crate) fn interested(&self, user: &OwnedUserId) -> usize {
        self.locks.interested(user)
    }
}

/// Removes everything that belongs to a device that is deleted: its keys, the signatures on them, the messages that wait for it.
/// Whoever deletes devices also calls [`record_device_list_change`], once for all devices of the user, in the same batch.
pub fn forget_device(batch: &mut Batch, user: &UserId, device: &DeviceId) -> Result<()> {
    batch.delete::<tables::DeviceKeys>((user, device))?;
    batch.delete_all::<tables::OneTimeKeys>((user, device))?;
    batch.delete_all::<tables::FallbackKeys>((user, device))?;
    batch.delete_all::<tables::KeySignatures>((user, device.as_str()))?;
    batch.delete_all::<tables::ToDevice>((user, device))?;
    Ok(())
}

/// Removes everything that belongs to a user who is gone for ever, besides their devices: the keys of the person, the backups,
/// and the dehydrated device.
pub fn delete_user_keys(store: &Store, batch: &mut Batch, user: &UserId) -> Result<()> {
    batch.delete_all::<tables::CrossSigningKeys>((user,))?;
    batch.delete_all::<tables::KeySignatures>((user,))?;
    batch.delete_all::<tables::BackupVersions>((user,))?;
    batch.delete_all::<tables::BackupKeys>((user,))?;
    if let Some(device) = devices::dehydrated(store, user)? {
        forget_device(batch, user, &device)?;
        batch.delete::<tables::DehydratedDevices>((user,))?;
    }
    Ok(())
}
