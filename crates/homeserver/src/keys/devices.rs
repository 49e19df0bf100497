//! Identity keys of devices, and which devices there are to send to.
//!
//! The identity keys of a device never change: whoever could replace them could read what is sent to it. A dehydrated device is a
//! device, although nobody is logged in with it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-keys>

use ruma::{DeviceId, OwnedDeviceId, UserId, encryption::DeviceKeys, serde::Raw};
use serde_json::{Map, Value, json};

use super::signatures;
use crate::{
    error::{Error, Result},
    limits::DEVICE_KEYS_MAX_BYTES,
    store::{Batch, Store, tables},
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

/// Sets the identity keys of a device, and says whether that changes anything.
///
/// # Errors
///
/// 400 if they are not those of this device, or if it has others already.
pub fn set(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    device: &DeviceId,
    keys: &Raw<DeviceKeys>,
) -> Result<bool> {
    if keys.json().get().len() > DEVICE_KEYS_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Device keys too large (max {DEVICE_KEYS_MAX_BYTES} bytes)"
        )));
    }
    let parsed: DeviceKeys = keys
        .deserialize()
        .map_err(|error| Error::bad_json(format!("device_keys: {error}")))?;
    if parsed.user_id != user || parsed.device_id != device {
        return Err(Error::invalid(
            "user_id and device_id have to be those of the device that uploads its keys",
        ));
    }
    if let Some(before) = store.get::<tables::DeviceKeys>((user, device))? {
        if before.get() == keys.json().get() {
            return Ok(false);
        }
        let before: DeviceKeys = serde_json::from_str(before.get())?;
        if before.keys != parsed.keys {
            return Err(Error::invalid(
                "This device has other identity keys already, and they never change: log in again to get a new device",
            ));
        }
    }
    batch.put::<tables::DeviceKeys>((user, device), &keys.json().to_owned())?;
    Ok(true)
}

/// The identity keys of a device as `asker` sees them: with the device's name, and the signatures that the owner and the asker
/// made.
pub fn get(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
    asker: &UserId,
) -> Result<Option<Raw<DeviceKeys>>> {
    let Some(stored) = store.get::<tables::DeviceKeys>((user, device))? else {
        return Ok(None);
    };
    let mut object: Map<String, Value> = serde_json::from_str(stored.get())?;
    signatures::merge(store, &mut object, user, device.as_str(), asker)?;
    // What a client wrote there is not signed, so only the server's word counts.
    object.remove("unsigned");
    if let Some(name) = name_of(store, user, device)? {
        object.insert(
            "unsigned".to_owned(),
            json!({ "device_display_name": name }),
        );
    }
    Ok(Some(Raw::new(&object)?.cast_unchecked()))
}

fn name_of(store: &Store, user: &UserId, device: &DeviceId) -> Result<Option<String>> {
    if let Some(record) = store.get::<tables::Devices>((user, device))? {
        return Ok(record.display_name);
    }
    let dehydrated = store.get::<tables::DehydratedDevices>((user,))?;
    let dehydrated = dehydrated.filter(|record| record.device_id == *device);
    Ok(dehydrated.and_then(|record| record.display_name))
}

/// The devices of a user that have keys.
pub fn with_keys(store: &Store, user: &UserId) -> Result<Vec<OwnedDeviceId>> {
    let rows = store.scan::<tables::DeviceKeys>((user,)).keys();
    rows.map(|key| Ok(key?.1)).collect()
}
