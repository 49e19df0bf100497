//! Dehydrated devices: a user's device that nobody is logged in with. It waits, encrypted, and takes what others send while the
//! user has no other device; the next device that the user logs in with decrypts it and reads its messages.
//!
//! A user has at most one. Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>

use ruma::{
    OwnedDeviceId, UserId,
    api::client::dehydrated_device::put_dehydrated_device::unstable::Request as Upload,
};

use super::{
    Keys, device_lists, devices, forget_device, one_time, record::DehydratedDevice,
    record_device_list_change,
};
use crate::{
    accounts::devices::check_name,
    error::{Error, Result},
    limits::{DEHYDRATED_DEVICE_MAX_BYTES, DEVICE_ID_MAX_BYTES},
    store::{Store, tables},
};

/// The dehydrated device of a user. 404 if there is none.
pub fn get(store: &Store, user: &UserId) -> Result<DehydratedDevice> {
    store
        .get::<tables::DehydratedDevices>((user,))?
        .ok_or_else(|| Error::not_found("There is no dehydrated device"))
}

/// Sets the dehydrated device of a user, with its keys, in the place of the one before.
///
/// # Errors
///
/// 400 if the user is logged in with a device of this id, or if the keys are those of another one; 413 beyond the limits.
pub async fn set(state: &Keys, user: &UserId, upload: &Upload) -> Result<()> {
    let _alone = state.lock([user]).await;
    let (store, device) = (&state.store, &upload.device_id);
    let size = upload.device_data.json().get().len();
    if size > DEHYDRATED_DEVICE_MAX_BYTES || device.as_str().len() > DEVICE_ID_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Dehydrated device or its id too large (max {DEHYDRATED_DEVICE_MAX_BYTES} and {DEVICE_ID_MAX_BYTES} bytes)"
        )));
    }
    check_name(upload.initial_device_display_name.as_deref())?;
    if state.store.contains::<tables::Devices>((user, &**device))? {
        return Err(Error::invalid("You are logged in with a device of this id"));
    }
    let mut write = state.stream.begin_write();
    let batch = write.batch();
    let before = devices::dehydrated(store, user)?;
    if let Some(before) = before.filter(|before| before != device) {
        forget_device(batch, user, &before)?;
    }
    devices::set(store, batch, user, device, &upload.device_keys)?;
    one_time::add(store, batch, user, device, &upload.one_time_keys)?;
    one_time::set_fallback(store, batch, user, device, &upload.fallback_keys)?;
    let record = DehydratedDevice {
        device_id: device.clone(),
        device_data: upload.device_data.json().to_owned(),
        display_name: upload.initial_device_display_name.clone(),
    };
    batch.put::<tables::DehydratedDevices>((user,), &record)?;
    record_device_list_change(&mut write, user);
    write.wake_after_commit(device_lists::wake_targets(&state.store, user)?);
    state.stream.commit(write).await?;
    Ok(())
}

/// Removes the dehydrated device of a user, and says which one it was. 404 if there is none.
pub async fn delete(state: &Keys, user: &UserId) -> Result<OwnedDeviceId> {
    let _alone = state.lock([user]).await;
    let device = get(&state.store, user)?.device_id;
    let mut write = state.stream.begin_write();
    let batch = write.batch();
    forget_device(batch, user, &device)?;
    batch.delete::<tables::DehydratedDevices>((user,))?;
    record_device_list_change(&mut write, user);
    write.wake_after_commit(device_lists::wake_targets(&state.store, user)?);
    state.stream.commit(write).await?;
    Ok(device)
}
