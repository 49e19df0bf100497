//! What encryption needs on disk: rows of keys, devices, what was pushed for them, and events that wait for their key.

use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    InboxPosition, Journal, JournalError,
    key::{self, Key, last_number, texts},
    record::AdmittedEvent,
};

/// The most events of one room that wait for their key; the oldest go first.
const ENCRYPTED_EVENTS_MAX: usize = 500;

/// The device with which one of our users takes part in encrypted rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Its id, which is never given to another device.
    pub device: OwnedDeviceId,
    /// Whether its keys, and its user's identity that signs them, are at the homeserver.
    pub published: bool,
    /// Whether a to-device message has reached it: the homeserver passes them on.
    #[serde(default)]
    pub receives: bool,
}

/// What the homeserver has pushed for a device. What is not there was not told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PushedChanges {
    /// To-device messages as they came.
    #[serde(default)]
    pub to_device: Vec<Box<RawValue>>,
    /// People whose devices have changed.
    #[serde(default)]
    pub changed: Vec<OwnedUserId>,
    /// How many one-time keys of each algorithm are left.
    #[serde(default)]
    pub one_time_keys: Option<Box<RawValue>>,
    /// The algorithms of fallback keys that nobody has used.
    #[serde(default)]
    pub unused_fallback_keys: Option<Box<RawValue>>,
}

/// An event that waits for its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncryptedEvent {
    /// The event as it came.
    pub event: AdmittedEvent,
    /// Whether the room has a notice that it cannot be decrypted yet.
    #[serde(default)]
    pub notified: bool,
}

impl EncryptedEvent {
    /// Its id, which is not encrypted.
    pub fn event_id(&self) -> Option<OwnedEventId> {
        #[derive(Deserialize)]
        struct Id {
            event_id: OwnedEventId,
        }
        let id: Id = serde_json::from_str(self.event.event.get()).ok()?;
        Some(id.event_id)
    }
}

/// Rows of keys as they are kept: names and encrypted values.
pub type KeyRows = Vec<(Vec<u8>, Vec<u8>)>;

impl Journal {
    /// The rows of keys of a user.
    pub fn key_rows(&self, user: &UserId) -> Result<KeyRows, JournalError> {
        let prefix = key_row(user, &[]);
        let rows = self.db().scan_prefix(&prefix).map(|entry| {
            let (key, value) = entry?;
            Ok((key[prefix.len()..].to_vec(), value.to_vec()))
        });
        rows.collect()
    }

    /// Writes rows of keys, or takes them away: all or none.
    pub fn write_key_rows(
        &self,
        user: &UserId,
        rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        for (name, value) in rows {
            match value {
                Some(value) => batch.insert(key_row(user, &name), value),
                None => batch.remove(key_row(user, &name)),
            }
        }
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// The device of one of our users.
    pub fn device(&self, user: &UserId) -> Result<Option<DeviceRecord>, JournalError> {
        self.get(&device_key(user), "device")
    }

    /// Writes down a device. Its keys are forgotten if it is another one than before.
    pub fn set_device(&self, user: &UserId, record: &DeviceRecord) -> Result<(), JournalError> {
        let known = self.device(user)?;
        let mut batch = sled::Batch::default();
        if known.is_some_and(|known| known.device != record.device) {
            for (name, _) in self.key_rows(user)? {
                batch.remove(key_row(user, &name));
            }
        }
        batch.insert(device_key(user), super::encode(record, "device")?);
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// All of our users that have a device.
    pub fn users_with_devices(&self) -> Result<Vec<OwnedUserId>, JournalError> {
        self.first_texts(key::DEVICE)
    }

    /// Keeps what was pushed for devices, all or nothing. It is ours after the next [`Journal::durable`].
    pub fn queue_pushed_changes(
        &self,
        changes: Vec<(OwnedUserId, PushedChanges)>,
    ) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        for (user, changes) in changes {
            let key = Key::new(key::PUSHED_CHANGES).text(user.as_str());
            let key = key.number(self.next_number()?).bytes();
            batch.insert(key, super::encode(&changes, "changes")?);
        }
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// What was pushed first for a user, of what is not taken in yet.
    pub fn next_pushed_changes(
        &self,
        user: &UserId,
    ) -> Result<Option<(u64, PushedChanges)>, JournalError> {
        let prefix = Key::new(key::PUSHED_CHANGES).text(user.as_str()).bytes();
        let first = self.scan::<PushedChanges>(&prefix, "changes").next();
        let first = first.transpose()?;
        Ok(first.map(|(key, changes)| (last_number(&key), changes)))
    }

    /// It is taken in.
    pub fn finish_pushed_changes(&self, user: &UserId, number: u64) -> Result<(), JournalError> {
        let key = Key::new(key::PUSHED_CHANGES)
            .text(user.as_str())
            .number(number);
        self.db().remove(key.bytes())?;
        Ok(())
    }

    /// Users for whom something is not taken in yet.
    pub fn users_with_pushed_changes(&self) -> Result<Vec<OwnedUserId>, JournalError> {
        self.first_texts(key::PUSHED_CHANGES)
    }

    /// Moves an event from the inbox to those of its room that wait for their key. Answers the oldest of these, which are given up because
    /// there are too many.
    pub fn move_to_encrypted(
        &self,
        admission: InboxPosition,
        room: &RoomId,
        event: &AdmittedEvent,
    ) -> Result<Vec<EncryptedEvent>, JournalError> {
        let write_lock = self.write_lock();
        let mut batch = sled::Batch::default();
        let waiting = EncryptedEvent {
            event: event.clone(),
            notified: false,
        };
        let key = encrypted_key(room, self.next_number()?);
        batch.insert(key, super::encode(&waiting, "encrypted event")?);
        let mut oldest = self.encrypted_events(room)?;
        oldest.truncate((oldest.len() + 1).saturating_sub(ENCRYPTED_EVENTS_MAX));
        for (number, _) in &oldest {
            batch.remove(encrypted_key(room, *number));
        }
        self.leave_inbox(&write_lock, admission, batch)?;
        Ok(oldest.into_iter().map(|(_, event)| event).collect())
    }

    /// An event that waits for its key was redacted: it is not answered any more.
    pub fn withdraw_encrypted(&self, room: &RoomId, event: &EventId) -> Result<(), JournalError> {
        for (number, waiting) in self.encrypted_events(room)? {
            if waiting.event_id().is_some_and(|id| id == event) {
                self.finish_encrypted(room, number, None)?;
            }
        }
        Ok(())
    }

    /// The events of a room that wait for their key, oldest first.
    pub fn encrypted_events(
        &self,
        room: &RoomId,
    ) -> Result<Vec<(u64, EncryptedEvent)>, JournalError> {
        let prefix = Key::new(key::UNDECRYPTED).text(room.as_str()).bytes();
        let events = self.scan::<EncryptedEvent>(&prefix, "encrypted event");
        events
            .map(|entry| entry.map(|(key, event)| (last_number(&key), event)))
            .collect()
    }

    /// An event still waits, and the room has a notice of it.
    pub fn update_encrypted(
        &self,
        room: &RoomId,
        number: u64,
        event: &EncryptedEvent,
    ) -> Result<(), JournalError> {
        self.put(&encrypted_key(room, number), event, "encrypted event")
    }

    /// An event waits no more: it is put into the inbox as it was written, or it is given up.
    pub fn finish_encrypted(
        &self,
        room: &RoomId,
        number: u64,
        decrypted: Option<&AdmittedEvent>,
    ) -> Result<(), JournalError> {
        let write_lock = self.write_lock();
        let mut batch = sled::Batch::default();
        batch.remove(encrypted_key(room, number));
        match decrypted {
            Some(event) => self.enter_inbox(&write_lock, event, batch),
            None => Ok(self.db().apply_batch(batch)?),
        }
    }

    /// Rooms in which an event waits for its key.
    pub fn rooms_with_encrypted_events(&self) -> Result<Vec<OwnedRoomId>, JournalError> {
        self.first_texts(key::UNDECRYPTED)
    }

    /// The first texts of all keys of a kind, each once.
    fn first_texts<T>(&self, kind: u8) -> Result<Vec<T>, JournalError>
    where
        T: for<'a> TryFrom<&'a str> + PartialEq,
    {
        let mut found: Vec<T> = Vec::new();
        for key in self.db().scan_prefix([kind]).keys() {
            let key = key?;
            let text = texts(&key).next().and_then(|text| T::try_from(text).ok());
            found.extend(text.filter(|text| found.last() != Some(text)));
        }
        Ok(found)
    }
}

fn key_row(user: &UserId, name: &[u8]) -> Vec<u8> {
    let mut key = Key::new(key::KEY_ROW).text(user.as_str()).bytes();
    key.extend_from_slice(name);
    key
}

fn device_key(user: &UserId) -> Vec<u8> {
    Key::new(key::DEVICE).text(user.as_str()).bytes()
}

fn encrypted_key(room: &RoomId, number: u64) -> Vec<u8> {
    let key = Key::new(key::UNDECRYPTED).text(room.as_str());
    key.number(number).bytes()
}
