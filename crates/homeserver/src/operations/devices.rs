//! Naming and deleting devices: the account has them, with tokens, keys, waiting messages, pushers and sync connections.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use std::collections::BTreeSet;

use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::Operations;
use crate::{
    accounts::{
        credential::ProvenPassword,
        devices::{DeviceWriteOutcome, IfMissing, check_name},
        record::{Device, ShortToken},
    },
    error::{Error, Result},
    keys,
    store::tables,
};

impl Operations {
    /// Names a device.
    ///
    /// # Errors
    ///
    /// 404 if it is missing and is not to be made, 400 if the name is too long.
    pub async fn name_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        name: Option<String>,
        if_missing: IfMissing,
    ) -> Result<DeviceWriteOutcome> {
        check_name(name.as_deref())?;
        let changing = self.accounts.changing.lock([user.to_owned()]).await;
        let (mut record, was) = match self.accounts.device(user, device)? {
            Some(record) => (record, DeviceWriteOutcome::There),
            None if if_missing == IfMissing::Make => {
                self.accounts.check_device_count(user)?;
                (Device::default(), DeviceWriteOutcome::Missing)
            }
            None => return Err(Error::not_found("You have no such device")),
        };
        record.display_name = name.or(record.display_name);
        let mut write = self.stream.begin_write();
        let batch = write.batch();
        batch.put::<tables::Devices>((user, device), &record)?;
        keys::record_device_list_change(&mut write, user);
        write.wake_after_commit(keys::device_lists::wake_targets(&self.store, user)?);
        self.stream.commit(write).await?;
        drop(changing);
        Ok(was)
    }

    /// Deletes devices with their tokens, keys, waiting messages and pushers. Those that are not there are passed over.
    ///
    /// # Errors
    ///
    /// 403 if the password that was shown for it was changed meanwhile.
    pub async fn delete_devices(
        &self,
        user: &UserId,
        devices: &[OwnedDeviceId],
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        let asked_for = |token: &ShortToken| {
            let device = token.device_id.as_ref();
            device.is_some_and(|device| devices.contains(device))
        };
        // A request can name as many as it likes.
        let named: BTreeSet<_> = devices.iter().collect();
        let deleted = |device: &OwnedDeviceId| named.contains(device);
        self.remove_devices(user, password, deleted, asked_for)
            .await
    }

    async fn remove_devices(
        &self,
        user: &UserId,
        password: Option<&ProvenPassword>,
        deleted: impl Fn(&OwnedDeviceId) -> bool,
        ends: impl Fn(&ShortToken) -> bool,
    ) -> Result<()> {
        let locked = self.keys.lock([user]).await;
        let changing = self.accounts.changing.lock([user.to_owned()]).await;
        self.accounts.check_password_unchanged(user, password)?;
        // Read under the lock: who logs in meanwhile does so before or after.
        let devices = self.accounts.devices(user)?.into_iter().map(|(id, _)| id);
        let found: BTreeSet<OwnedDeviceId> = devices.filter(deleted).collect();
        let mut write = self.stream.begin_write();
        let batch = write.batch();
        for device in &found {
            self.accounts.end_tokens(batch, user, device, None)?;
            batch.delete::<tables::Devices>((user, &**device))?;
            keys::forget_device(batch, user, device)?;
        }
        for row in self.store.scan::<tables::Pushers>((user,)) {
            let ((_, app, key), pusher) = row?;
            let owner = pusher.device.as_deref();
            if found.iter().any(|device| owner == Some(device.as_str())) {
                batch.delete::<tables::Pushers>((user, &app, &key))?;
                batch.delete::<tables::PusherProgress>((user, &app, &key))?;
            }
        }
        self.accounts.end_short_tokens(batch, user, ends)?;
        keys::record_device_list_change(&mut write, user);
        write.wake_after_commit(keys::device_lists::wake_targets(&self.store, user)?);
        self.stream.commit(write).await?;
        drop((changing, locked));
        for device in &found {
            self.sync.sliding.forget(user, device);
        }
        Ok(())
    }

    /// Deletes all devices of a user but one, and with all of them what no device asked for.
    pub async fn delete_other_devices(&self, user: &UserId, keep: Option<&DeviceId>) -> Result<()> {
        let other = |device: &OwnedDeviceId| Some(&**device) != keep;
        let of_others = |token: &ShortToken| keep.is_none() || token.device_id.as_deref() != keep;
        self.remove_devices(user, None, other, of_others).await
    }
}
