//! What goes out in one request: everything between two places of the stream that concerns the application service.
//!
//! The same two places always give the same events and the same transaction id, so that a request that is repeated, even after the
//! server was killed, is known again by its receiver. What lives in memory only (typing, presence) rides along and has no part in
//! the id.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#put_matrixappv1transactionstxnid>, MSC2409, MSC3202, MSC4203.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{event, interest::Interest};
use crate::{
    appservices::Appservice,
    error::Result,
    limits::{TRANSACTION_EVENTS_MAX, TRANSACTION_MAX_BYTES},
    rooms::Rooms,
    rooms::typing::Typing,
    store::tables,
    stream::{Change, Position},
    sync::presence::Presence,
};

mod encryption;
mod ephemeral;

/// How many changes are looked through before the place that was reached is noted.
const LOOKED_AT_MAX: usize = 1_000;

/// Where everything that is told comes from.
#[derive(Clone, Debug)]
pub(super) struct TransactionSource {
    pub(super) rooms: Rooms,
    pub(super) typing: Typing,
    pub(super) presence: Presence,
}

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
    /// What it carries that is on disk.
    names: Vec<String>,
    bytes: usize,
}

impl Transaction {
    /// Collects what happened behind `after` and not behind `until`.
    pub(super) fn collect(
        source: &TransactionSource,
        appservice: &Appservice,
        interest: &mut Interest,
        after: Position,
        until: Position,
    ) -> Result<Self> {
        let mut transaction = Self {
            until: after,
            ..Self::default()
        };
        transaction.walk(&source.rooms, appservice, interest, until)?;
        if appservice.registration().file().receive_ephemeral {
            transaction.typing(source, interest, after)?;
            transaction.presence(source, appservice, interest, after)?;
        }
        Ok(transaction)
    }

    /// Goes through what is on disk, until it is enough for one transaction.
    fn walk(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        until: Position,
    ) -> Result<()> {
        let changes = rooms
            .store
            .scan_from::<tables::Changes>((), (self.until.next(),));
        for (looked_at, row) in changes.enumerate() {
            let ((position,), change) = row?;
            if position > until {
                break;
            }
            if looked_at >= LOOKED_AT_MAX || self.is_full() {
                // What was not looked at is for the next one.
                return Ok(());
            }
            self.until = position;
            self.take(rooms, appservice, interest, position, &change)?;
        }
        self.until = until;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.events.len() + self.ephemeral.len() + self.to_device.len() >= TRANSACTION_EVENTS_MAX
            || self.bytes >= TRANSACTION_MAX_BYTES
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.ephemeral.is_empty() && !self.is_durable()
    }

    /// Whether it carries anything that is on disk, and has to arrive whatever happens.
    pub(super) fn is_durable(&self) -> bool {
        !self.names.is_empty()
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
            Change::DeviceList(user) => {
                self.device_list(rooms, appservice, interest, user, position)
            }
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
            self.events
                .push(event::appservice_json(rooms, &pdu, appservice)?);
        }
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
        if appservice.registration().file().device_lists {
            self.encryption(rooms, &mut body)?;
        }
        Ok(Bytes::from(serde_json::to_vec(&body)?))
    }
}
