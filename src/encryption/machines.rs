//! The machines of our users: made when one is needed, opened when one is used, forgotten in memory when it rests.

mod devices;
mod proof;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use encryption::{
    CannotDecrypt, Cipher, EncryptionError, Intake, Machine, NoPickleKey, PickleKey, Recipients,
};
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId, serde::Raw};
use serde_json::{Value, value::RawValue};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, mpsc};
use tracing::{info, warn};

use super::{
    ENCRYPTED_TYPE, Unreadable, intakes::Intakes, requests::AsDevice, room_facts::RoomFacts,
    rows::JournalRows,
};
use crate::{
    config,
    journal::{IntakeRecord, Journal, JournalError},
    matrix::{Actor, Homeserver, MatrixError, content::SEND_ID_KEY},
    workers::{Panic, Tasks, Work, Workers},
};

/// How long to rest when what was pushed cannot be taken in.
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
    facts: RoomFacts,
    slots: Mutex<HashMap<OwnedUserId, Arc<AsyncMutex<Slot>>>>,
    workers: Workers<OwnedUserId>,
    rooms_with_keys: mpsc::UnboundedSender<OwnedRoomId>,
    is_proven: AtomicBool,
    proof_came: Notify,
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
        rooms_with_keys: mpsc::UnboundedSender<OwnedRoomId>,
        tasks: Tasks,
    ) -> Result<Option<Self>, NoPickleKey> {
        if !config.allow {
            return Ok(None);
        }
        let Some(key) = config.pickle_key.as_ref().filter(|key| !key.is_missing()) else {
            info!(
                "agents cannot read encrypted rooms: `encryption.pickle_key` is missing; `openssl rand -base64 32` makes one"
            );
            return Ok(None);
        };
        let key: PickleKey = key.expose().parse()?;
        Ok(Some(Self {
            facts: RoomFacts::new(homeserver.clone()),
            journal,
            homeserver,
            bot: bot.to_owned(),
            cipher: Cipher::new(&key),
            slots: Mutex::default(),
            workers: Workers::new(tasks.clone()),
            rooms_with_keys,
            is_proven: AtomicBool::new(false),
            proof_came: Notify::new(),
            tasks,
        }))
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Acquire)
    }

    pub(super) fn room_changed(&self, room: &RoomId) {
        self.facts.changed(room);
    }

    pub(super) fn begin(this: &Arc<Self>) -> Result<(), JournalError> {
        this.wake(this.journal.users_with_intakes()?);
        let prover = Arc::clone(this);
        this.tasks.spawn(async move { prover.prove().await });
        Ok(())
    }

    pub(super) fn admit(&self, intakes: &Intakes) -> Result<Vec<OwnedUserId>, JournalError> {
        if intakes.is_empty() {
            return Ok(Vec::new());
        }
        let mut records: BTreeMap<OwnedUserId, IntakeRecord> = BTreeMap::new();
        for user in self.journal.users_with_devices()? {
            let Some(own) = self.journal.device(&user)? else {
                continue;
            };
            let of_device = |map: &BTreeMap<
                OwnedUserId,
                BTreeMap<OwnedDeviceId, Box<RawValue>>,
            >| { map.get(&user)?.get(&own.device).cloned() };
            let to_device = intakes.to_device.iter().filter(|message| {
                message.user == user
                    && message.device == own.device
                    && !self.is_proof(&message.event_type)
            });
            let record = IntakeRecord {
                to_device: to_device.map(|message| message.message.clone()).collect(),
                changed: intakes.changed.clone(),
                one_time_keys: of_device(&intakes.one_time_keys),
                unused_fallback_keys: of_device(&intakes.unused_fallback_keys),
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
        self.journal.queue_intakes(records.into_iter().collect())?;
        Ok(users)
    }

    pub(super) fn wake(self: &Arc<Self>, users: Vec<OwnedUserId>) {
        for user in users {
            self.workers.wake(user, IntakeWorker(Arc::clone(self)));
        }
    }

    pub(super) async fn prepare(&self, user: &UserId) -> Result<(), MatrixError> {
        self.opened(user).await.map(drop)
    }

    pub(super) async fn seal(
        &self,
        sender: &UserId,
        room: &RoomId,
        event_type: &str,
        content: &RawValue,
    ) -> Result<Option<Box<RawValue>>, MatrixError> {
        if !self.is_proven() || IN_THE_CLEAR.contains(&event_type) || event_type == ENCRYPTED_TYPE {
            return Ok(None);
        }
        let Some(facts) = self.facts.find(Actor::Ghost(sender), room).await? else {
            return Ok(None);
        };
        let (_guard, machine, device) = self.opened(sender).await?;
        let recipients = Recipients {
            room,
            users: facts.users.clone(),
            encryption: facts.encryption.clone(),
            history: facts.history.clone(),
        };
        let sealed = machine
            .encrypt(
                recipients,
                event_type,
                content,
                &self.as_device(sender, &device),
            )
            .await
            .map_err(failed)?;
        with_clear_parts(&sealed, content).map(Some)
    }

    pub(super) async fn open(
        &self,
        users: &[OwnedUserId],
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Box<RawValue>, Unreadable> {
        let mut why = Unreadable::NoKey("none of us has a device".to_owned());
        for user in users {
            let known = self.journal.device(user);
            if !known
                .map_err(|error| Unreadable::Failed(error.to_string()))?
                .is_some_and(|known| known.published)
            {
                continue;
            }
            let (_guard, machine, _) = self
                .opened(user)
                .await
                .map_err(|error| Unreadable::Failed(error.to_string()))?;
            match machine.decrypt(room, event).await {
                Ok(decrypted) => return with_room(&decrypted.event, room),
                Err(failure @ (CannotDecrypt::NoKey | CannotDecrypt::Withheld(_))) => {
                    why = Unreadable::NoKey(failure.to_string());
                }
                Err(failure @ CannotDecrypt::Damaged(_)) => {
                    why = Unreadable::Damaged(failure.to_string());
                }
                Err(failure @ CannotDecrypt::Store(_)) => {
                    return Err(Unreadable::Failed(failure.to_string()));
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

    /// Takes in all that was pushed for a user.
    async fn take_in(&self, user: &OwnedUserId) -> Result<(), JournalError> {
        while let Some((number, record)) = self.journal.next_intake(user)? {
            let (_guard, machine, device) = match self.opened(user).await {
                Ok(opened) => opened,
                Err(error) => {
                    warn!(user.id = %user, error = &error as &dyn std::error::Error, "cannot take in encryption keys; retrying");
                    tokio::select! {
                        () = tokio::time::sleep(FAILED_PAUSE) => continue,
                        () = self.tasks.stopping() => return Ok(()),
                    }
                }
            };
            let requests = self.as_device(user, &device);
            match machine.receive(intake(&record), &requests).await {
                Ok(rooms) => {
                    for room in rooms {
                        drop(self.rooms_with_keys.send(room));
                    }
                }
                Err(error) => {
                    warn!(user.id = %user, error = &error as &dyn std::error::Error, "could not take in encryption keys");
                }
            }
            self.journal.finish_intake(user, number)?;
        }
        Ok(())
    }
}

/// Takes in what was pushed for users, each in order.
#[derive(Clone)]
struct IntakeWorker(Arc<Machines>);

impl Work<OwnedUserId> for IntakeWorker {
    type Error = JournalError;

    async fn run(&self, user: &OwnedUserId) -> Result<(), JournalError> {
        self.0.take_in(user).await
    }

    async fn set_aside(&self, user: &OwnedUserId, panic: &Panic) -> Result<(), JournalError> {
        warn!(user.id = %user, %panic, "what was pushed for a device is set aside after repeated panics");
        match self.0.journal.next_intake(user)? {
            Some((number, _)) => self.0.journal.finish_intake(user, number),
            None => Ok(()),
        }
    }
}

fn intake(record: &IntakeRecord) -> Intake {
    let read = |value: &Option<Box<RawValue>>| value.as_ref().map(|value| value.get().to_owned());
    Intake {
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

/// The encrypted content with what servers and the bridge itself must read: what it relates to, and the id by which it is found again.
fn with_clear_parts(sealed: &RawValue, content: &RawValue) -> Result<Box<RawValue>, MatrixError> {
    let read = |text: &RawValue| serde_json::from_str::<serde_json::Map<String, Value>>(text.get());
    let both = read(sealed).and_then(|mut sealed| {
        let mut content = read(content)?;
        for key in ["m.relates_to", SEND_ID_KEY] {
            if let Some(value) = content.remove(key)
                && !sealed.contains_key(key)
            {
                sealed.insert(key.to_owned(), value);
            }
        }
        serde_json::value::to_raw_value(&sealed)
    });
    both.map_err(|error| MatrixError::Encryption(error.to_string()))
}

/// The event as an event of its room, which the encrypted part does not name.
fn with_room(event: &RawValue, room: &RoomId) -> Result<Box<RawValue>, Unreadable> {
    let read = serde_json::from_str::<serde_json::Map<String, Value>>(event.get());
    let named = read.and_then(|mut event| {
        event.insert("room_id".to_owned(), room.as_str().into());
        serde_json::value::to_raw_value(&event)
    });
    named.map_err(|error| Unreadable::Damaged(error.to_string()))
}

fn failed(error: EncryptionError<MatrixError>) -> MatrixError {
    match error {
        EncryptionError::Homeserver(error) => error,
        other => {
            let source = std::error::Error::source(&other).map(ToString::to_string);
            MatrixError::Encryption(format!("{other}: {}", source.unwrap_or_default()))
        }
    }
}

fn cannot(error: &JournalError) -> MatrixError {
    MatrixError::Encryption(error.to_string())
}
