//! Messages from device to device: kept in their order until the device acknowledges them with its next sync.
//!
//! Each message to each device has a stream position of its own, so that a sync can stop after any of them and go on behind it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>

use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId, events::AnyToDeviceEvent, serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Keys, devices};
use crate::{
    error::{Error, Result},
    limits::{
        TO_DEVICE_CONTENT_MAX_BYTES, TO_DEVICE_KEPT_MAX_BYTES, TO_DEVICE_NAME_MAX_BYTES,
        TO_DEVICE_RECIPIENTS_MAX, TO_DEVICE_WAITING_MAX,
    },
    store::{Batch, Encoded, Store, records::rooms::Made, tables},
    stream::{Change, Position, Touch, Write},
};

/// With every so many messages it is looked whether a device has more.
pub(super) const TRIM_EVERY: u64 = 64;
/// For how many devices one request looks at most.
const TRIMS_PER_REQUEST: usize = 8;
/// A message for one or all devices of a user.
#[derive(Debug)]
pub struct Message {
    /// Whose devices.
    pub user: OwnedUserId,
    /// Which of them.
    pub device: DeviceIdOrAllDevices,
    /// What is said.
    pub content: Box<RawValue>,
}

/// A message as the device gets it.
#[derive(Serialize)]
struct Delivered<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sender: &'a UserId,
    content: &'a RawValue,
}

/// Leaves messages for devices, once for each transaction id of a sender: `seen` is the sender's key and the transaction id.
/// Messages to devices that do not exist are for nobody.
///
/// # Errors
///
/// 413 `M_TOO_LARGE` if a message is too large or there are too many.
pub async fn send(
    state: &Keys,
    sender: &UserId,
    kind: &str,
    seen: (&str, &str),
    messages: &[Message],
) -> Result<()> {
    if kind.len() > TO_DEVICE_NAME_MAX_BYTES || seen.1.len() > TO_DEVICE_NAME_MAX_BYTES {
        return Err(Error::too_large(format!(
            "The type of a message and the transaction id can have {TO_DEVICE_NAME_MAX_BYTES} bytes"
        )));
    }
    let _alone = state.lock([sender]).await;
    let path = format!("sendToDevice/{kind}");
    let send_id = (sender, seen.0, path.as_str(), seen.1);
    if state.store.contains::<tables::SendIds>(send_id)? {
        return Ok(());
    }
    let mut write = state.stream.write();
    write
        .batch()
        .put::<tables::SendIds>(send_id, &Made::now(None))?;
    let (mut next, mut trims) = (state.stream.visible().next().0, TRIMS_PER_REQUEST);
    for (user, device, content) in addressed(&state.store, messages)? {
        if next.is_multiple_of(TRIM_EVERY) && trims > 0 {
            trim(&state.store, write.batch(), user, &device)?;
            trims -= 1;
        }
        next += 1;
        write.touch([Touch::User(user.clone())]);
        let message = Delivered {
            kind,
            sender,
            content,
        };
        leave(&mut write, user.clone(), device, &message)?;
    }
    state.stream.commit(write).await?;
    Ok(())
}

type Addressed<'a> = (&'a OwnedUserId, OwnedDeviceId, &'a RawValue);

/// Each device that gets something, with what it gets.
fn addressed<'a>(store: &Store, messages: &'a [Message]) -> Result<Vec<Addressed<'a>>> {
    let (mut all, mut kept) = (Vec::new(), 0);
    for message in messages {
        if message.content.get().len() > TO_DEVICE_CONTENT_MAX_BYTES {
            return Err(Error::too_large(format!(
                "A message to a device can have {TO_DEVICE_CONTENT_MAX_BYTES} bytes"
            )));
        }
        let devices = match &message.device {
            DeviceIdOrAllDevices::AllDevices => devices::all(store, &message.user)?,
            DeviceIdOrAllDevices::DeviceId(device) => {
                let exists = devices::exists(store, &message.user, device)?;
                exists.then(|| device.clone()).into_iter().collect()
            }
        };
        kept += devices.len() * message.content.get().len();
        if kept > TO_DEVICE_KEPT_MAX_BYTES || all.len() + devices.len() > TO_DEVICE_RECIPIENTS_MAX {
            return Err(Error::too_large(format!(
                "One request can send to {TO_DEVICE_RECIPIENTS_MAX} devices, and {TO_DEVICE_KEPT_MAX_BYTES} bytes to all of them together"
            )));
        }
        all.extend(
            devices
                .into_iter()
                .map(|device| (&message.user, device, &*message.content)),
        );
    }
    Ok(all)
}

fn leave(
    write: &mut Write,
    user: OwnedUserId,
    device: OwnedDeviceId,
    message: &Delivered<'_>,
) -> Result<()> {
    let slot = write.position();
    let json = Encoded::new(&serde_json::value::to_raw_value(message)?)?;
    write.row(move |batch, positions| {
        let position = positions.of(slot);
        batch.put_encoded::<tables::ToDevice>((&user, &device, position), &json)?;
        batch.put::<tables::Changes>((position,), &Change::ToDevice(user, device))
    });
    Ok(())
}

/// Drops the oldest messages of a device that has too many.
fn trim(store: &Store, batch: &mut Batch, user: &UserId, device: &DeviceId) -> Result<()> {
    let rows = store.scan_back::<tables::ToDevice>((user, device));
    let mut dropped = 0;
    for key in rows.keys().skip(TO_DEVICE_WAITING_MAX) {
        let (_, _, position) = key?;
        batch.delete::<tables::ToDevice>((user, device, position))?;
        dropped += 1;
    }
    if dropped > 0 {
        tracing::warn!(user.id = %user, device.id = %device, dropped, "a device has not synced for long: its oldest messages are dropped");
    }
    Ok(())
}

/// The messages that wait for a device after `after`, up to and with `up_to`, oldest first, at most `limit` of them.
pub fn pending(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
    after: Position,
    up_to: Position,
    limit: usize,
) -> Result<Vec<(Position, Raw<AnyToDeviceEvent>)>> {
    let rows = store.scan_from::<tables::ToDevice>((user, device), (user, device, after.next()));
    let mut messages = Vec::new();
    for row in rows.take(limit) {
        let ((_, _, position), json) = row?;
        if position > up_to {
            break;
        }
        messages.push((position, Raw::from_json(json)));
    }
    Ok(messages)
}

/// Removes the messages that a device has acknowledged: all up to and with `up_to`.
pub fn delete_up_to(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    device: &DeviceId,
    up_to: Position,
) -> Result<()> {
    for key in store.scan::<tables::ToDevice>((user, device)).keys() {
        let (_, _, position) = key?;
        if position > up_to {
            break;
        }
        batch.delete::<tables::ToDevice>((user, device, position))?;
    }
    Ok(())
}
