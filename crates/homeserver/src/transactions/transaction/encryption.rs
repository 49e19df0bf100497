//! What bridges need that encrypt: messages to devices (MSC4203), whose devices changed, and how many keys are left (MSC3202).
//!
//! Drafts: <https://github.com/matrix-org/matrix-spec-proposals/pull/4203>,
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/3202>

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::{Map, Value, json};

use super::Transaction;
use crate::{
    appservices::Appservice, error::Result, rooms::Rooms, store::tables, stream::Position,
    transactions::interest::Interest,
};

/// The algorithm of the one-time keys that are in use.
const ONE_TIME_ALGORITHM: &str = "signed_curve25519";

impl Transaction {
    /// A message to a device of one of its users.
    pub(super) fn add_to_device(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        user: &OwnedUserId,
        device: &OwnedDeviceId,
        position: Position,
    ) -> Result<()> {
        if !appservice.is_own(user) {
            return Ok(());
        }
        let key = (user, device, position);
        let Some(message) = rooms.store.get::<tables::ToDevice>(key)? else {
            return Ok(());
        };
        self.bytes += message.get().len();
        let mut message: Value = serde_json::from_str(message.get())?;
        message["to_user_id"] = json!(user);
        message["to_device_id"] = json!(device);
        self.names.push(format!("to-device {position}"));
        self.to_device.push(message);
        self.carried.push((user.clone(), device.clone(), position));
        self.keys_of.push((user.clone(), device.clone()));
        Ok(())
    }

    /// Devices or keys that changed, of its own users or of people in their rooms.
    pub(super) fn device_list(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        user: &OwnedUserId,
        position: Position,
    ) -> Result<()> {
        if !appservice.registration().file().device_lists || self.changed.contains(user) {
            return Ok(());
        }
        if appservice.is_own(user) {
            for key in rooms.store.scan::<tables::Devices>((user,)).keys() {
                self.keys_of.push(key?);
            }
        } else if !interest.shares_room_with(user, position)? {
            return Ok(());
        }
        self.names.push(format!("devices of {user}"));
        self.changed.push(user.clone());
        Ok(())
    }

    /// What encryption needs to know (MSC3202), under the name of its draft and under its own.
    pub(super) fn encryption(&self, rooms: &Rooms, body: &mut Map<String, Value>) -> Result<()> {
        let mut add = |name: &str, value: &Value| {
            body.insert(name.to_owned(), value.clone());
            body.insert(format!("org.matrix.msc3202.{name}"), value.clone());
        };
        if !self.changed.is_empty() {
            add(
                "device_lists",
                &json!({ "changed": self.changed, "left": [] }),
            );
        }
        if self.keys_of.is_empty() {
            return Ok(());
        }
        let mut counts: BTreeMap<_, BTreeMap<_, BTreeMap<String, u64>>> = BTreeMap::new();
        let mut unused: BTreeMap<_, BTreeMap<_, Vec<String>>> = BTreeMap::new();
        for (user, device) in &self.keys_of {
            let of_device = counts.entry(user).or_default().entry(device).or_default();
            of_device.clear();
            // None left is what a bridge has to know most of all.
            of_device.insert(ONE_TIME_ALGORITHM.to_owned(), 0);
            for key in rooms
                .store
                .scan::<tables::OneTimeKeys>((user, device))
                .keys()
            {
                *of_device.entry(key?.2).or_default() += 1;
            }
            let types = unused.entry(user).or_default().entry(device).or_default();
            types.clear();
            for row in rooms.store.scan::<tables::FallbackKeys>((user, device)) {
                let ((_, _, algorithm), key) = row?;
                if !key.used {
                    types.push(algorithm);
                }
            }
        }
        add("device_one_time_keys_count", &json!(counts));
        add("device_unused_fallback_key_types", &json!(unused));
        Ok(())
    }
}
