//! The machines of our users: made when one is needed, opened when one is used, forgotten in memory when it rests.

mod devices;
mod support;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use encryption::{
    CannotDecrypt, Cipher, EncryptionChanges, EncryptionError, Machine, PickleKey, Recipients,
};
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId, serde::Raw};
use serde_json::{Value, value::RawValue};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, mpsc, watch};
use tracing::{info, warn};

use super::{
    BadPickleKey, DecryptError, ENCRYPTED_TYPE, SetupError, Support,
    encrypted_rooms::EncryptedRooms, payload::EncryptionPayload, requests::AsDevice,
    row_store::JournalRowStore,
};
use crate::{
    config,
    journal::{Journal, JournalError, OutboxItem, PushedChanges},
    matrix::{Actor, Homeserver, MatrixError, content::SEND_ID_KEY},
    workers::{Panic, Tasks, Work, Workers},
};

/// The pause before what was pushed is applied again.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// The most machines in memory. One takes some 150 KiB and what its keys take.
const MACHINES_MAX: usize = 200;
/// Types of events that are never encrypted: servers must read them.
const IN_THE_CLEAR: [&str; 2] = ["m.reaction", "m.room.redaction"];

/// A machine in memory. Whoever holds the lock is the only one who takes a step with it.
#[derive(Default)]
struct Slot {
    open: Option<(Machine, OwnedDeviceId)>,
}

/// See the module's documentation.
pub(super) struct Machines {
    journal: Journal,
    homeserver: Homeserver,
    bot: OwnedUserId,
    cipher: Cipher,
    rooms: EncryptedRooms,
    slots: Mutex<HashMap<OwnedUserId, Arc<AsyncMutex<Slot>>>>,
    workers: Workers<OwnedUserId>,
    rooms_to_decrypt: mpsc::UnboundedSender<OwnedRoomId>,
    support: watch::Sender<Support>,
    support_check_came: Notify,
    tasks: Tasks,
}

/// The right to take steps with a machine, the machine, and its device.
type Opened = (OwnedMutexGuard<Slot>, Machine, OwnedDeviceId);

impl Machines {
    /// `None`: encryption is not wanted, or there is no key for it.
    pub(super) fn new(
        config: &config::Encryption,
        journal: Journal,
        homeserver: Homeserver,
        bot: &UserId,
        rooms_to_decrypt: mpsc::UnboundedSender<OwnedRoomId>,
        tasks: Tasks,
    ) -> Result<Option<Self>, SetupError> {
        if !config.allow {
            return Ok(None);
        }
        let Some(key) = config.pickle_key.as_ref().filter(|key| !key.is_missing()) else {
            info!(
                "agents cannot read encrypted rooms: `encryption.pickle_key` is missing; `openssl rand -base64 32` makes one"
            );
            return Ok(None);
        };
        let key: PickleKey = key.expose().parse().map_err(|_| BadPickleKey)?;
        // What was supported once is not taken for unsupported because the homeserver is slow today.
        let was_supported = journal.device(bot)?.is_some_and(|device| device.receives);
        let support = if was_supported {
            Support::Supported
        } else {
            Support::Unknown
        };
        Ok(Some(Self {
            rooms: EncryptedRooms::new(homeserver.clone()),
            journal,
            homeserver,
            bot: bot.to_owned(),
            cipher: Cipher::new(&key),
            slots: Mutex::default(),
            workers: Workers::new(tasks.clone()),
            rooms_to_decrypt,
            support: watch::channel(support).0,
            support_check_came: Notify::new(),
            tasks,
        }))
    }

    pub(super) fn support(&self) -> Support {
        *self.support.borrow()
    }

    pub(super) fn room_changed(&self, room: &RoomId) {
        self.rooms.changed(room);
    }

    pub(super) fn begin(this: &Arc<Self>) -> Result<(), JournalError> {
        this.wake(this.journal.users_with_pushed_changes()?);
        let check = Arc::clone(this);
        this.tasks.spawn(async move { check.check_support().await });
        Ok(())
    }

    pub(super) fn queue_changes(
        &self,
        payload: &EncryptionPayload,
    ) -> Result<Vec<OwnedUserId>, JournalError> {
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        let mut records: BTreeMap<OwnedUserId, PushedChanges> = BTreeMap::new();
        for user in self.journal.users_with_devices()? {
            let Some(own) = self.journal.device(&user)? else {
                continue;
            };
            let of_device = |map: &BTreeMap<
                OwnedUserId,
                BTreeMap<OwnedDeviceId, Box<RawValue>>,
            >| { map.get(&user)?.get(&own.device).cloned() };
            let to_device = payload.to_device.iter().filter(|message| {
                message.user == user
                    && message.device == own.device
                    && !self.is_support_check(&message.event_type)
            });
            let record = PushedChanges {
                to_device: to_device.map(|message| message.message.clone()).collect(),
                changed: payload.changed.clone(),
                one_time_keys: of_device(&payload.one_time_keys),
                unused_fallback_keys: of_device(&payload.unused_fallback_keys),
            };
            let is_empty = record.to_device.is_empty()
                && record.changed.is_empty()
                && record.one_time_keys.is_none()
                && record.unused_fallback_keys.is_none();
            if !is_empty {
                records.insert(user, record);
            }
        }
        let users = records.keys().cloned().collect();
        self.journal
            .queue_pushed_changes(records.into_iter().collect())?;
        Ok(users)
    }

    pub(super) fn wake(self: &Arc<Self>, users: Vec<OwnedUserId>) {
        for user in users {
            self.workers.wake(user, ChangesWorker(Arc::clone(self)));
        }
    }

    pub(super) async fn ensure_device(&self, user: &UserId) -> Result<(), MatrixError> {
        if self.support() == Support::Unsupported {
            return Ok(());
        }
        match self.open_machine(user).await {
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                warn!(user.id = %user, error = &error as &dyn std::error::Error, "could not make a device for encrypted rooms");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    pub(super) async fn encrypt(&self, item: OutboxItem) -> Result<OutboxItem, MatrixError> {
        let is_clear = IN_THE_CLEAR.contains(&&*item.event_type);
        if is_clear || item.event_type == ENCRYPTED_TYPE || self.support() == Support::Unsupported {
            return Ok(item);
        }
        let sender = &item.sender;
        let Some(room) = self.rooms.find(Actor::Ghost(sender), &item.room).await? else {
            return Ok(item);
        };
        if self.support() == Support::Unknown {
            let why = "it is not known yet whether the homeserver supports it";
            return Err(MatrixError::Encryption(why.to_owned()));
        }
        let (_guard, machine, device) = self.open_machine(sender).await.map_err(kept_back)?;
        let recipients = Recipients {
            room: &item.room,
            users: room.users.clone(),
            encryption: room.encryption.clone(),
            history: room.history.clone(),
        };
        let requests = self.as_device(sender, &device);
        let encrypted = machine
            .encrypt(recipients, &item.event_type, &item.content, &requests)
            .await
            .map_err(|error| kept_back(to_matrix_error(error)))?;
        Ok(OutboxItem {
            content: with_unencrypted_keys(&encrypted, &item.content)?,
            event_type: ENCRYPTED_TYPE.to_owned(),
            ..item
        })
    }

    pub(super) async fn decrypt(
        &self,
        users: &[OwnedUserId],
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Box<RawValue>, DecryptError> {
        let mut why = DecryptError::NoKey("none of us has a device".to_owned());
        for user in users {
            let known = self.journal.device(user);
            if !known
                .map_err(|error| DecryptError::Failed(error.to_string()))?
                .is_some_and(|known| known.published)
            {
                continue;
            }
            let (_guard, machine, _) = self
                .open_machine(user)
                .await
                .map_err(|error| DecryptError::Failed(error.to_string()))?;
            match machine.decrypt(room, event).await {
                Ok(decrypted) => return with_room(&decrypted.event, room),
                Err(failure @ (CannotDecrypt::NoKey | CannotDecrypt::Withheld(_))) => {
                    why = DecryptError::NoKey(failure.to_string());
                }
                Err(failure @ CannotDecrypt::Damaged(_)) => {
                    why = DecryptError::Damaged(failure.to_string());
                }
                Err(failure @ CannotDecrypt::Store(_)) => {
                    return Err(DecryptError::Failed(failure.to_string()));
                }
            }
        }
        Err(why)
    }

    fn as_device<'a>(&'a self, user: &'a UserId, device: &'a OwnedDeviceId) -> AsDevice<'a> {
        AsDevice {
            homeserver: &self.homeserver,
            user,
            device,
        }
    }

    fn slot(&self, user: &UserId) -> Arc<AsyncMutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MACHINES_MAX && !slots.contains_key(user) {
            // Nobody else holds those at rest; each opens again as it was.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(user.to_owned()).or_default())
    }

    /// Applies all that was pushed for a user. Keys that cannot be written stay where they are until they can.
    async fn apply_pushed_changes(&self, user: &OwnedUserId) -> Result<(), JournalError> {
        while let Some((number, record)) = self.journal.next_pushed_changes(user)? {
            let failure = match self.apply_changes(user, &record).await {
                Ok(()) => {
                    self.journal.finish_pushed_changes(user, number)?;
                    continue;
                }
                Err(failure) => failure,
            };
            warn!(user.id = %user, error = &failure as &dyn std::error::Error, "could not apply pushed encryption keys; retrying");
            tokio::select! {
                () = tokio::time::sleep(FAILED_PAUSE) => {}
                () = self.tasks.stopping() => return Ok(()),
            }
        }
        Ok(())
    }

    async fn apply_changes(
        &self,
        user: &OwnedUserId,
        record: &PushedChanges,
    ) -> Result<(), MatrixError> {
        let (_guard, machine, device) = self.open_machine(user).await?;
        let requests = self.as_device(user, &device);
        match machine.receive_changes(changes(record), &requests).await {
            Ok(rooms) => {
                for room in rooms {
                    drop(self.rooms_to_decrypt.send(room));
                }
                Ok(())
            }
            Err(failure @ EncryptionError::Store(_)) => Err(to_matrix_error(failure)),
            Err(failure) => {
                // The same would fail again.
                warn!(user.id = %user, error = &failure as &dyn std::error::Error, "could not apply pushed encryption keys; they are dropped");
                Ok(())
            }
        }
    }
}

/// Applies what was pushed for users, each in order.
#[derive(Clone)]
struct ChangesWorker(Arc<Machines>);

impl Work<OwnedUserId> for ChangesWorker {
    type Error = JournalError;

    async fn run(&self, user: &OwnedUserId) -> Result<(), JournalError> {
        self.0.apply_pushed_changes(user).await
    }

    async fn set_aside(&self, user: &OwnedUserId, panic: &Panic) -> Result<(), JournalError> {
        warn!(user.id = %user, %panic, "what was pushed for a device is set aside after repeated panics");
        match self.0.journal.next_pushed_changes(user)? {
            Some((number, _)) => self.0.journal.finish_pushed_changes(user, number),
            None => Ok(()),
        }
    }
}

fn changes(record: &PushedChanges) -> EncryptionChanges {
    let read = |value: &Option<Box<RawValue>>| value.as_ref().map(|value| value.get().to_owned());
    EncryptionChanges {
        to_device: record
            .to_device
            .iter()
            .map(|message| Raw::from_json(message.clone()))
            .collect(),
        changed: record.changed.clone(),
        one_time_keys: read(&record.one_time_keys)
            .and_then(|counts| serde_json::from_str(&counts).ok())
            .unwrap_or_default(),
        unused_fallback_keys: read(&record.unused_fallback_keys)
            .and_then(|types| serde_json::from_str(&types).ok()),
    }
}

/// The encrypted content with what servers and the bridge itself must read: what it relates to, and the send id.
fn with_unencrypted_keys(
    encrypted: &RawValue,
    content: &RawValue,
) -> Result<Box<RawValue>, MatrixError> {
    let read = |text: &RawValue| serde_json::from_str::<serde_json::Map<String, Value>>(text.get());
    let both = read(encrypted).and_then(|mut encrypted| {
        let mut content = read(content)?;
        for key in ["m.relates_to", SEND_ID_KEY] {
            if let Some(value) = content.remove(key)
                && !encrypted.contains_key(key)
            {
                encrypted.insert(key.to_owned(), value);
            }
        }
        serde_json::value::to_raw_value(&encrypted)
    });
    both.map_err(|error| MatrixError::Encryption(error.to_string()))
}

/// The event as an event of its room, which the encrypted part does not name.
fn with_room(event: &RawValue, room: &RoomId) -> Result<Box<RawValue>, DecryptError> {
    let read = serde_json::from_str::<serde_json::Map<String, Value>>(event.get());
    let named = read.and_then(|mut event| {
        event.insert("room_id".to_owned(), room.as_str().into());
        serde_json::value::to_raw_value(&event)
    });
    named.map_err(|error| DecryptError::Damaged(error.to_string()))
}

fn to_matrix_error(error: EncryptionError<MatrixError>) -> MatrixError {
    match error {
        EncryptionError::Homeserver(error) => error,
        other => {
            let source = std::error::Error::source(&other).map(ToString::to_string);
            MatrixError::Encryption(format!("{other}: {}", source.unwrap_or_default()))
        }
    }
}

fn from_journal(error: &JournalError) -> MatrixError {
    MatrixError::Encryption(error.to_string())
}

/// A failure after which a message waits: whatever the homeserver refused, it was not the message.
fn kept_back(error: MatrixError) -> MatrixError {
    if error.is_permanent() {
        MatrixError::Encryption(error.to_string())
    } else {
        error
    }
}
