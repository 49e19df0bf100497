//! What must be said: frozen messages, room by room, in order, until the homeserver has answered.

use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};

use super::{
    Journal, JournalError,
    key::{self, Key, last_number},
    record::{OutboxItem, SendId},
};
use crate::time::Millis;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    /// `None`: the homeserver has refused it for good.
    pub(super) event_id: Option<OwnedEventId>,
    pub(super) at: Millis,
}

impl Journal {
    /// Puts a message into its room's outbox, unless it is there or was sent already.
    /// Refused with [`JournalError::Full`] if too many wait for that room.
    pub fn enqueue(&self, item: &OutboxItem) -> Result<bool, JournalError> {
        let _guard = self.write_lock();
        if self
            .get::<Sent>(&sent_key(&item.send_id), "sent")?
            .is_some()
        {
            return Ok(false);
        }
        let prefix = Key::new(key::OUTBOX).text(item.room.as_str()).bytes();
        let mut waiting = 0;
        for entry in self.scan::<OutboxItem>(&prefix, "outbox") {
            if entry?.1.send_id == item.send_id {
                return Ok(false);
            }
            waiting += 1;
        }
        let limit = self.limits().outbox_items_max;
        if waiting >= limit {
            return Err(JournalError::Full {
                what: "messages waiting for a room",
                limit,
            });
        }
        let batch = self.outbox_batch(std::slice::from_ref(item))?;
        self.db().apply_batch(batch)?;
        Ok(true)
    }

    pub(super) fn outbox_batch(&self, items: &[OutboxItem]) -> Result<sled::Batch, JournalError> {
        let mut batch = sled::Batch::default();
        for item in items {
            let number = self.next_number()?;
            batch.insert(
                Key::new(key::OUTBOX)
                    .text(item.room.as_str())
                    .number(number)
                    .bytes(),
                super::encode(item, "outbox")?,
            );
        }
        Ok(batch)
    }

    /// A message that waits has another form from now on, under the same send id: it is encrypted.
    pub fn replace_outbox_item(&self, number: u64, item: &OutboxItem) -> Result<(), JournalError> {
        let key = Key::new(key::OUTBOX)
            .text(item.room.as_str())
            .number(number);
        self.put(&key.bytes(), item, "outbox")
    }

    /// The message that a room waits for first.
    pub fn next_outbox_item(
        &self,
        room: &RoomId,
    ) -> Result<Option<(u64, OutboxItem)>, JournalError> {
        let prefix = Key::new(key::OUTBOX).text(room.as_str()).bytes();
        self.scan::<OutboxItem>(&prefix, "outbox")
            .next()
            .map(|entry| entry.map(|(key, item)| (last_number(&key), item)))
            .transpose()
    }

    /// Whether this message still waits in the outbox.
    pub fn is_waiting(&self, room: &RoomId, send_id: &SendId) -> Result<bool, JournalError> {
        let prefix = Key::new(key::OUTBOX).text(room.as_str()).bytes();
        for entry in self.scan::<OutboxItem>(&prefix, "outbox") {
            if entry?.1.send_id == *send_id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The homeserver has answered: with the event's id, or with a refusal for good (`None`).
    pub fn mark_sent(
        &self,
        number: u64,
        item: &OutboxItem,
        event_id: Option<OwnedEventId>,
        now: Millis,
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut batch = sled::Batch::default();
        batch.remove(
            Key::new(key::OUTBOX)
                .text(item.room.as_str())
                .number(number)
                .bytes(),
        );
        batch.insert(
            sent_key(&item.send_id),
            super::encode(&Sent { event_id, at: now }, "sent")?,
        );
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// The event that a message became: `None` if it was not sent (yet), `Some(None)` if the
    /// homeserver has refused it.
    pub fn event_of(&self, send_id: &SendId) -> Result<Option<Option<OwnedEventId>>, JournalError> {
        Ok(self
            .get::<Sent>(&sent_key(send_id), "sent")?
            .map(|sent| sent.event_id))
    }

    /// Rooms for which messages wait.
    pub fn rooms_with_outbox_items(&self) -> Result<Vec<OwnedRoomId>, JournalError> {
        self.rooms_with_rows(key::OUTBOX)
    }
}

fn sent_key(send_id: &SendId) -> Vec<u8> {
    Key::new(key::SENT).text(send_id.as_str()).bytes()
}
