//! Which devices there are to send to. A dehydrated device is one, although nobody is logged in with it.

use ruma::{DeviceId, OwnedDeviceId, UserId};

use crate::{
    error::Result,
    store::{Store, tables},
};

/// All devices of a user.
pub fn all(store: &Store, user: &UserId) -> Result<Vec<OwnedDeviceId>> {
    let mut devices = Vec::new();
    for key in store.scan::<tables::Devices>((user,)).keys() {
        devices.push(key?.1);
    }
    devices.extend(dehydrated(store, user)?);
    Ok(devices)
}

/// Whether the user has this device.
pub fn exists(store: &Store, user: &UserId, device: &DeviceId) -> Result<bool> {
    Ok(store.contains::<tables::Devices>((user, device))?
        || dehydrated(store, user)?.is_some_and(|id| id == *device))
}

/// The dehydrated device of a user.
pub fn dehydrated(store: &Store, user: &UserId) -> Result<Option<OwnedDeviceId>> {
    let device = store.get::<tables::DehydratedDevices>((user,))?;
    Ok(device.map(|device| device.device_id))
}
