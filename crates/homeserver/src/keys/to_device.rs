//! Messages from device to device: kept in their order until the device acknowledges them with its next sync.
//!
//! Each message to each device has a stream position of its own, so that a sync can stop after any of them and go on behind it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>

use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId, events::AnyToDeviceEvent, serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Keys, devices};
use crate::{
    error::{Error, Result},
    limits::{
        TO_DEVICE_ANSWER_MAX_BYTES, TO_DEVICE_CONTENT_MAX_BYTES, TO_DEVICE_KEPT_MAX_BYTES,
        TO_DEVICE_NAME_MAX_BYTES, TO_DEVICE_RECIPIENTS_MAX, TO_DEVICE_WAITING_MAX,
        TO_DEVICE_WAITING_MAX_BYTES,
    },
    store::{Batch, Encoded, Store, records::rooms::SendResult, tables},
    stream::{Change, Position, WakeTarget, Write},
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
            "Message type or transaction id too long (max {TO_DEVICE_NAME_MAX_BYTES} bytes)"
        )));
    }
    let _alone = state.lock([sender]).await;
    let path = format!("sendToDevice/{kind}");
    let send_id = (sender, seen.0, path.as_str(), seen.1);
    if state.store.contains::<tables::SendIds>(send_id)? {
        return Ok(());
    }
    let mut write = state.stream.begin_write();
    write
        .batch()
        .put::<tables::SendIds>(send_id, &SendResult::now(None))?;
    let (mut next, mut trims) = (state.stream.visible().next().0, TRIMS_PER_REQUEST);
    for (user, device, content) in addressed(&state.store, messages)? {
        if next.is_multiple_of(TRIM_EVERY) && trims > 0 {
            trim(&state.store, write.batch(), user, &device)?;
            trims -= 1;
        }
        next += 1;
        write.wake_after_commit([WakeTarget::User(user.clone())]);
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
                "To-device message too large (max {TO_DEVICE_CONTENT_MAX_BYTES} bytes)"
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
    let slot = write.reserve_position();
    let json = Encoded::new(&serde_json::value::to_raw_value(message)?)?;
    write.add_row(move |batch, positions| {
        let position = positions.of(slot);
        batch.put_encoded::<tables::ToDevice>((&user, &device, position), &json)?;
        batch.put::<tables::Changes>((position,), &Change::ToDevice(user, device))
    });
    Ok(())
}

/// Drops messages of a device that has too many: always the oldest one of whoever has left the most, so that nobody's flood takes what
/// others have left.
fn trim(store: &Store, batch: &mut Batch, user: &UserId, device: &DeviceId) -> Result<()> {
    let mut queue = Queue::default();
    for row in store.scan::<tables::ToDevice>((user, device)) {
        let ((_, _, position), json) = row?;
        queue.add(position, &json);
    }
    let excess = queue.into_excess();
    let dropped = excess.len();
    for position in excess {
        batch.delete::<tables::ToDevice>((user, device, position))?;
    }
    if dropped > 0 {
        tracing::warn!(user.id = %user, device.id = %device, dropped, "a device has not synced for long: its oldest messages are dropped");
    }
    Ok(())
}

/// What waits for one device, by sender.
#[derive(Debug, Default)]
struct Queue {
    senders: BTreeMap<String, Left>,
    count: usize,
    bytes: usize,
}

/// What one sender has left: positions and sizes, the oldest first.
#[derive(Debug, Default)]
struct Left {
    messages: VecDeque<(Position, usize)>,
    bytes: usize,
}

impl Left {
    /// How much of what may wait is this sender's, by number or by size, in millionths.
    fn part(&self) -> usize {
        let of = |part: usize, all: usize| part.saturating_mul(1_000_000) / all;
        let by_count = of(self.messages.len(), TO_DEVICE_WAITING_MAX);
        by_count.max(of(self.bytes, TO_DEVICE_WAITING_MAX_BYTES))
    }
}

impl Queue {
    fn add(&mut self, position: Position, message: &RawValue) {
        #[derive(Deserialize)]
        struct From {
            sender: String,
        }
        let from = serde_json::from_str::<From>(message.get());
        let sender = from.map_or_else(|_| String::new(), |from| from.sender);
        let (left, size) = (self.senders.entry(sender).or_default(), message.get().len());
        left.messages.push_back((position, size));
        left.bytes += size;
        self.count += 1;
        self.bytes += size;
    }

    /// The messages that have to go.
    fn into_excess(mut self) -> Vec<Position> {
        let mut excess = Vec::new();
        let by_part = self.senders.iter();
        let mut by_part: BinaryHeap<(usize, String)> = by_part
            .map(|(sender, left)| (left.part(), sender.clone()))
            .collect();
        while self.count > TO_DEVICE_WAITING_MAX || self.bytes > TO_DEVICE_WAITING_MAX_BYTES {
            let Some((_, sender)) = by_part.pop() else {
                break;
            };
            let Some(left) = self.senders.get_mut(&sender) else {
                break;
            };
            if let Some((position, size)) = left.messages.pop_front() {
                left.bytes -= size;
                self.bytes -= size;
                self.count -= 1;
                excess.push(position);
                by_part.push((left.part(), sender));
            }
        }
        excess
    }
}

/// Messages that wait for a device.
#[derive(Debug, Default)]
pub struct Pending {
    /// The oldest of them.
    pub messages: Vec<(Position, Raw<AnyToDeviceEvent>)>,
    /// Whether there are more.
    pub more: bool,
}

impl Pending {
    /// Up to where the device has its messages with these, if more wait.
    pub fn stopped_at(&self) -> Option<Position> {
        let last = self.messages.last().filter(|_| self.more);
        last.map(|(position, _)| *position)
    }
}

/// The messages that wait for a device after `after`, up to and with `up_to`, oldest first: at most `limit` of them, and no more bytes
/// than one answer has for them.
pub fn pending(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
    after: Position,
    up_to: Position,
    limit: usize,
) -> Result<Pending> {
    let rows = store.scan_from::<tables::ToDevice>((user, device), (user, device, after.next()));
    let (mut pending, mut bytes) = (Pending::default(), 0);
    for row in rows {
        let ((_, _, position), json) = row?;
        if position > up_to {
            break;
        }
        bytes += json.get().len();
        let is_first = pending.messages.is_empty();
        let is_full = pending.messages.len() >= limit || bytes > TO_DEVICE_ANSWER_MAX_BYTES;
        if is_full && !is_first {
            pending.more = true;
            break;
        }
        pending.messages.push((position, Raw::from_json(json)));
    }
    Ok(pending)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sender: &str, bytes: usize) -> Box<RawValue> {
        let content = serde_json::json!({ "sender": sender, "text": "x".repeat(bytes) });
        serde_json::value::to_raw_value(&content).unwrap_or_default()
    }

    /// How many messages of each sender stay, of queues of (sender, number, size) one after the other.
    fn stay(left: &[(&str, usize, usize)]) -> Vec<usize> {
        let (mut queue, mut owners) = (Queue::default(), Vec::new());
        for (owner, (sender, count, bytes)) in left.iter().enumerate() {
            let message = message(sender, *bytes);
            for _ in 0..*count {
                queue.add(Position(owners.len() as u64), &message);
                owners.push(owner);
            }
        }
        let mut stay: Vec<usize> = left.iter().map(|(_, count, _)| *count).collect();
        for position in queue.into_excess() {
            stay[owners[usize::try_from(position.0).unwrap_or_default()]] -= 1;
        }
        stay
    }

    #[test]
    fn only_who_left_the_most_loses_messages() {
        assert_eq!(stay(&[("@a", 50, 10), ("@b", 20, 10)]), [50, 20]);
        let most = TO_DEVICE_WAITING_MAX;
        assert_eq!(stay(&[("@a", 50, 10), ("@b", most, 10)]), [50, most - 50]);
        assert_eq!(
            stay(&[("@b", most, 10), ("@a", most / 2, 10)]),
            [most / 2; 2]
        );
        let large = 60_000;
        let fit = TO_DEVICE_WAITING_MAX_BYTES / (large + 30);
        let stays = stay(&[("@a", 3_000, 10), ("@b", fit + 20, large)]);
        assert_eq!(stays[0], 3_000);
        assert!(stays[1] < fit && stays[1] > fit / 2, "{stays:?}");
    }
}
