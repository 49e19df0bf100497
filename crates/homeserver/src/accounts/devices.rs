//! Devices: listed, named, made by application services, and deleted with everything that is theirs.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use std::collections::BTreeSet;

use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{
    Accounts,
    credential::ProvenPassword,
    record::{Device, ShortToken},
};
use crate::{
    appservices::Appservice,
    error::{Error, Result},
    keys,
    limits::{DEVICE_NAME_MAX_BYTES, DEVICES_PER_USER},
    server::Server,
    store::tables,
};

/// Whether a device was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// It has a new name.
    There,
    /// It was made.
    Missing,
}

/// Whether a device that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made.
    Make,
    /// That is 404.
    Refuse,
}

/// Whether the application service makes and deletes the devices of its users itself, without a login (MSC4190).
pub fn manages_devices(appservice: &Appservice) -> bool {
    appservice.registration().file().device_management
}

/// Refuses a name that is too long for a device.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM`.
pub fn check_name(name: Option<&str>) -> Result<()> {
    if name.is_none_or(|name| name.len() <= DEVICE_NAME_MAX_BYTES) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The name of a device can have {DEVICE_NAME_MAX_BYTES} bytes"
    )))
}

impl Accounts {
    /// A device of a user.
    pub fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Device>> {
        Ok(self.store.get::<tables::Devices>((user, device))?)
    }

    /// Refuses one device more than a user can have. The caller holds `changing`.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN`.
    pub(super) fn has_room_for_device(&self, user: &UserId) -> Result<()> {
        let devices = self.store.scan::<tables::Devices>((user,)).keys();
        if devices.take(DEVICES_PER_USER).count() < DEVICES_PER_USER {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "One user can have {DEVICES_PER_USER} devices: log out on some of them first"
        )))
    }

    /// All devices of a user.
    pub fn devices(&self, user: &UserId) -> Result<Vec<(OwnedDeviceId, Device)>> {
        let rows = self.store.scan::<tables::Devices>((user,));
        rows.map(|row| {
            row.map(|((_, id), device)| (id, device))
                .map_err(Error::from)
        })
        .collect()
    }

    /// Names a device.
    ///
    /// # Errors
    ///
    /// 404 if it is missing and is not to be made, 400 if the name is too long.
    pub async fn name_device(
        &self,
        server: &Server,
        user: &UserId,
        device: &DeviceId,
        name: Option<String>,
        if_missing: IfMissing,
    ) -> Result<Was> {
        check_name(name.as_deref())?;
        let changing = self.changing.lock([user.to_owned()]).await;
        let (mut record, was) = match self.device(user, device)? {
            Some(record) => (record, Was::There),
            None if if_missing == IfMissing::Make => {
                self.has_room_for_device(user)?;
                (Device::default(), Was::Missing)
            }
            None => return Err(Error::not_found("You have no such device")),
        };
        record.display_name = name.or(record.display_name);
        let mut write = server.stream.write();
        let batch = write.batch();
        batch.put::<tables::Devices>((user, device), &record)?;
        keys::changed(&mut write, user);
        write.touch(keys::device_lists::touches(&server.rooms, user)?);
        server.stream.commit(write).await?;
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
        server: &Server,
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
        self.remove_devices(server, user, password, deleted, asked_for)
            .await
    }

    async fn remove_devices(
        &self,
        server: &Server,
        user: &UserId,
        password: Option<&ProvenPassword>,
        deleted: impl Fn(&OwnedDeviceId) -> bool,
        ends: impl Fn(&ShortToken) -> bool,
    ) -> Result<()> {
        let locked = server.keys.lock([user]).await;
        let changing = self.changing.lock([user.to_owned()]).await;
        self.still_proven_by(user, password)?;
        // Read under the lock: who logs in meanwhile does so before or after.
        let devices = self.devices(user)?.into_iter().map(|(id, _)| id);
        let found: BTreeSet<OwnedDeviceId> = devices.filter(deleted).collect();
        let mut write = server.stream.write();
        let batch = write.batch();
        for device in &found {
            self.end_tokens(batch, user, device, None)?;
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
        self.end_short_tokens(batch, user, ends)?;
        keys::changed(&mut write, user);
        write.touch(keys::device_lists::touches(&server.rooms, user)?);
        server.stream.commit(write).await?;
        drop((changing, locked));
        for device in &found {
            server.sliding.forget(user, device);
        }
        Ok(())
    }

    /// Deletes all devices of a user but one, and with all of them what no device asked for.
    pub async fn delete_other_devices(
        &self,
        server: &Server,
        user: &UserId,
        keep: Option<&DeviceId>,
    ) -> Result<()> {
        let other = |device: &OwnedDeviceId| Some(&**device) != keep;
        let of_others = |token: &ShortToken| keep.is_none() || token.device_id.as_deref() != keep;
        self.remove_devices(server, user, None, other, of_others)
            .await
    }
}
