//! What a transaction brings for encryption: pure.
//!
//! Specification: [MSC4203](https://github.com/matrix-org/matrix-spec-proposals/pull/4203) (to-device messages),
//! [MSC3202](https://github.com/matrix-org/matrix-spec-proposals/pull/3202) (device lists and key counts). Homeservers use stable and
//! unstable names, some of them both at once.

use std::collections::{BTreeMap, HashMap};

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The names of a key, the one of the specification first.
const TO_DEVICE: [&str; 2] = ["to_device", "de.sorunome.msc2409.to_device"];
const DEVICE_LISTS: [&str; 2] = ["device_lists", "org.matrix.msc3202.device_lists"];
const ONE_TIME_KEYS: [&str; 3] = [
    "device_one_time_keys_count",
    "org.matrix.msc3202.device_one_time_keys_count",
    "org.matrix.msc3202.device_one_time_key_counts",
];
const FALLBACK_KEYS: [&str; 2] = [
    "device_unused_fallback_key_types",
    "org.matrix.msc3202.device_unused_fallback_key_types",
];

/// A to-device message for a user of ours.
#[derive(Debug)]
pub struct ToDevice {
    /// For whom.
    pub user: OwnedUserId,
    /// For which device of theirs.
    pub device: OwnedDeviceId,
    /// What kind of message it is.
    pub event_type: String,
    /// The message.
    pub message: Box<RawValue>,
}

type ByDevice = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Box<RawValue>>>;

/// See the module's documentation. What is not there was not told.
#[derive(Debug, Default)]
pub struct EncryptionPayload {
    /// To-device messages, in their order.
    pub to_device: Vec<ToDevice>,
    /// People whose devices have changed.
    pub changed: Vec<OwnedUserId>,
    /// How many one-time keys are left.
    pub one_time_keys: ByDevice,
    /// Which fallback keys nobody has used.
    pub unused_fallback_keys: ByDevice,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    event_type: String,
    to_user_id: OwnedUserId,
    to_device_id: OwnedDeviceId,
}

#[derive(Deserialize)]
struct DeviceLists {
    #[serde(default)]
    changed: Vec<Box<RawValue>>,
}

impl EncryptionPayload {
    /// Reads the body of a transaction, leniently: what cannot be read is left out.
    pub fn of(body: &HashMap<String, &RawValue>) -> Self {
        let messages: Vec<Box<RawValue>> = find(body, &TO_DEVICE).unwrap_or_default();
        let to_device = messages.into_iter().filter_map(|message| {
            let envelope: Envelope = serde_json::from_str(message.get()).ok()?;
            Some(ToDevice {
                user: envelope.to_user_id,
                device: envelope.to_device_id,
                event_type: envelope.event_type,
                message,
            })
        });
        let lists: Option<DeviceLists> = find(body, &DEVICE_LISTS);
        let changed = lists.map(|lists| lists.changed).unwrap_or_default();
        Self {
            to_device: to_device.collect(),
            changed: changed
                .iter()
                .filter_map(|user| serde_json::from_str(user.get()).ok())
                .collect(),
            one_time_keys: find(body, &ONE_TIME_KEYS).unwrap_or_default(),
            unused_fallback_keys: find(body, &FALLBACK_KEYS).unwrap_or_default(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.to_device.is_empty()
            && self.changed.is_empty()
            && self.one_time_keys.is_empty()
            && self.unused_fallback_keys.is_empty()
    }
}

fn find<T: DeserializeOwned>(body: &HashMap<String, &RawValue>, names: &[&str]) -> Option<T> {
    let mut values = names.iter().filter_map(|&name| body.get(name));
    values.find_map(|value| serde_json::from_str(value.get()).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> EncryptionPayload {
        let text = body.to_string();
        EncryptionPayload::of(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn stable_and_unstable_names_are_read_and_each_message_once() {
        let message = json!({
            "type": "m.room.encrypted", "sender": "@ann:x", "to_user_id": "@a:x", "to_device_id": "D", "content": {},
        });
        let counts = json!({ "@a:x": { "D": { "signed_curve25519": 3 }, "KEY": {} } });
        for (to_device, lists, counted, fallback) in [
            (
                &TO_DEVICE[..1],
                &DEVICE_LISTS[..1],
                &ONE_TIME_KEYS[..1],
                &FALLBACK_KEYS[..1],
            ),
            (
                &TO_DEVICE[1..],
                &DEVICE_LISTS[1..],
                &ONE_TIME_KEYS[1..2],
                &FALLBACK_KEYS[1..],
            ),
            (
                &TO_DEVICE[..],
                &DEVICE_LISTS[..],
                &ONE_TIME_KEYS[..],
                &FALLBACK_KEYS[..],
            ),
        ] {
            let mut body = json!({ "events": [] });
            for name in to_device {
                body[name] = json!([message, "no message", {"type": "m.dummy"}]);
            }
            for name in lists {
                body[name] = json!({ "changed": ["@ann:x", 1], "left": [] });
            }
            for name in counted {
                body[name] = counts.clone();
            }
            for name in fallback {
                body[name] = json!({ "@a:x": { "D": ["signed_curve25519"] } });
            }
            let payload = read(&body);
            assert_eq!(payload.to_device.len(), 1, "{body}");
            assert_eq!(payload.to_device[0].device, "D");
            assert_eq!(payload.changed, ["@ann:x"], "{body}");
            let user = payload.one_time_keys.keys().next().unwrap();
            assert_eq!(payload.one_time_keys[user].len(), 2, "{body}");
            assert_eq!(payload.unused_fallback_keys[user].len(), 1, "{body}");
        }
    }

    #[test]
    fn transactions_without_encryption_bring_nothing() {
        for body in [
            json!({ "events": [] }),
            json!({ "to_device": {}, "device_lists": [], "device_one_time_keys_count": 7 }),
        ] {
            assert!(read(&body).is_empty(), "{body}");
        }
    }
}
