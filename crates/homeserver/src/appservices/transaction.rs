//! What goes out in one request: everything between two places of the stream that concerns the application service.
//!
//! The same two places always give the same events and the same transaction id, so that a request that is repeated, even after the
//! server was killed, is known again by its receiver.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#put_matrixappv1transactionstxnid>, MSC2409, MSC3202, MSC4203.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Appservice, event, interest::Interest};
use crate::{
    error::Result,
    rooms::Rooms,
    store::tables,
    stream::{Change, Position},
};

/// How many events go out in one transaction.
pub(super) const EVENTS_MAX: usize = 100;
/// The size at which a transaction takes no more events, in bytes: receivers limit what they read, often to two mebibytes.
const EVENTS_MAX_BYTES: usize = 1 << 20;
/// How many changes are looked through before the place that was reached is noted.
const LOOKED_AT_MAX: usize = 5_000;

/// One transaction, or the finding that there is nothing to send.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The last place that it covers.
    pub(super) until: Position,
    events: Vec<Value>,
    ephemeral: Vec<Value>,
    to_device: Vec<Value>,
    /// The messages to devices that it carries.
    pub(super) carried: Vec<(OwnedUserId, OwnedDeviceId, Position)>,
    changed: Vec<OwnedUserId>,
    keys_of: Vec<(OwnedUserId, OwnedDeviceId)>,
    names: Vec<String>,
    bytes: usize,
}

impl Transaction {
    /// Collects what happened behind `after` and not behind `until`.
    pub(super) fn collect(
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        after: Position,
        until: Position,
    ) -> Result<Self> {
        let mut transaction = Self {
            until: after,
            ..Self::default()
        };
        let changes = rooms
            .store
            .scan_from::<tables::Changes>((), (after.next(),));
        for (looked_at, row) in changes.enumerate() {
            let ((position,), change) = row?;
            if position > until || looked_at >= LOOKED_AT_MAX || transaction.is_full() {
                // What was not looked at is for the next one.
                if position > until {
                    transaction.until = until;
                }
                return Ok(transaction);
            }
            transaction.until = position;
            transaction.take(rooms, appservice, interest, position, &change)?;
        }
        transaction.until = until;
        Ok(transaction)
    }

    fn is_full(&self) -> bool {
        self.events.len() + self.ephemeral.len() + self.to_device.len() >= EVENTS_MAX
            || self.bytes >= EVENTS_MAX_BYTES
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.ephemeral.is_empty()
            && self.to_device.is_empty()
            && self.changed.is_empty()
    }

    fn take(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        position: Position,
        change: &Change,
    ) -> Result<()> {
        match change {
            Change::Event(room, event) => self.event(rooms, appservice, interest, room, event),
            Change::Receipt(room, _) => self.receipt(rooms, appservice, interest, room, position),
            Change::ToDevice(user, device) => {
                self.add_to_device(rooms, appservice, user, device, position)
            }
            Change::DeviceList(user) => self.device_list(rooms, appservice, user),
            Change::AccountData(_) => Ok(()),
        }
    }

    fn event(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        room: &OwnedRoomId,
        event: &OwnedEventId,
    ) -> Result<()> {
        let Some(pdu) = rooms.event(event)?.filter(|pdu| pdu.room_id == *room) else {
            return Ok(());
        };
        if interest.in_event(&pdu)? {
            self.bytes += pdu.json.get().len();
            self.names.push(pdu.event_id.to_string());
            self.events.push(event::shape(rooms, &pdu, appservice)?);
        }
        Ok(())
    }

    fn receipt(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        room: &RoomId,
        position: Position,
    ) -> Result<()> {
        let wanted = appservice.registration.file().receive_ephemeral;
        if !wanted || !interest.in_room(room, position)? {
            return Ok(());
        }
        // A newer receipt has taken the place of an older one.
        let Some(receipt) = rooms.store.get::<tables::Receipts>((room, position))? else {
            return Ok(());
        };
        if receipt.receipt_type != "m.read" {
            return Ok(());
        }
        let mut read = json!({ "ts": receipt.time });
        if let Some(thread) = &receipt.thread {
            read["thread_id"] = json!(thread);
        }
        let (event, reader) = (receipt.event_id.to_string(), receipt.user_id.to_string());
        let content = json!({ (event): { "m.read": { (reader): read } } });
        self.names.push(format!("receipt {position}"));
        self.ephemeral
            .push(json!({ "type": "m.receipt", "room_id": room, "content": content }));
        Ok(())
    }

    fn add_to_device(
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

    fn device_list(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        user: &OwnedUserId,
    ) -> Result<()> {
        if !appservice.registration.file().device_lists || self.changed.contains(user) {
            return Ok(());
        }
        if appservice.is_own(user) {
            for key in rooms.store.scan::<tables::Devices>((user,)).keys() {
                self.keys_of.push(key?);
            }
        } else if !shares_room(rooms, appservice, user)? {
            return Ok(());
        }
        self.names.push(format!("devices of {user}"));
        self.changed.push(user.clone());
        Ok(())
    }

    /// The transaction id: the same for the same content, and no other.
    pub(super) fn id(&self, after: Position) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{after} {}", self.until));
        for name in &self.names {
            hash.update([0]);
            hash.update(name);
        }
        BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// The body of the request.
    pub(super) fn body(&self, rooms: &Rooms, appservice: &Appservice) -> Result<Bytes> {
        let mut body = Map::new();
        body.insert("events".to_owned(), json!(self.events));
        if !self.ephemeral.is_empty() {
            body.insert("ephemeral".to_owned(), json!(self.ephemeral));
        }
        if !self.to_device.is_empty() {
            body.insert("to_device".to_owned(), json!(self.to_device));
            body.insert(
                "de.sorunome.msc2409.to_device".to_owned(),
                json!(self.to_device),
            );
        }
        if appservice.registration.file().device_lists {
            self.encryption(rooms, &mut body)?;
        }
        Ok(Bytes::from(serde_json::to_vec(&body)?))
    }

    /// What encryption needs to know (MSC3202), under the name of its draft and under its own.
    fn encryption(&self, rooms: &Rooms, body: &mut Map<String, Value>) -> Result<()> {
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

/// Whether the user is in a room with a user of the application service, as it is now.
fn shares_room(rooms: &Rooms, appservice: &Appservice, user: &UserId) -> Result<bool> {
    for room in rooms.joined_rooms(user)? {
        for row in rooms.store.scan::<tables::Members>((&room,)) {
            let ((_, member), membership) = row?;
            if membership.is_joined() && appservice.is_own(&member) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
