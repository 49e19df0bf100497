//! The durable record of what the bridge has promised, on sled.
//!
//! Everything that must survive a crash is here: events the homeserver was told we have, prompts
//! that wait, turns that run, messages that must be said, agents, rooms and conversations. The
//! interface speaks of those; keys and values stay inside.
//!
//! Promises:
//!
//! 1. What a method wrote is durable after the next [`Journal::durable`] has returned, whatever
//!    happens to the process. Many callers share one `fsync` (group commit).
//! 2. What belongs together is written in one atomic batch: a prompt leaves the inbox and enters
//!    its queue, or neither; a turn ends and its last words enter the outbox, or neither.
//! 3. An event id is admitted once, for as long as [`JournalLimits::keep_events`].
//! 4. Nothing grows without bound: see [`JournalLimits`].
//!
//! All records live in one tree, because one tree has one atomic batch. The first byte of a key
//! names the kind of record, see `key`.

mod agent_messages;
mod agents;
mod approvals;
mod database;
mod encryption;
mod failed_prompts;
mod flush;
mod inbox;
mod key;
mod outbox;
mod prune;
mod reactions;
mod record;
mod replaced_rooms;
mod room_settings;
mod suspensions;
mod tool_tokens;
mod turns;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use system::{condition::StoreCondition, private};

pub use self::{
    agent_messages::AgentMessage,
    encryption::{DeviceRecord, EncryptedEvent, KeyRows, PushedChanges},
    inbox::InboxPosition,
    reactions::ReactionRecord,
    record::{
        AdmittedEvent, AgentRecord, AgentStatus, Answer, ApprovalCall, ApprovalDecision,
        ApprovalRecord, Attachment, AttachmentKind, AvatarRecord, ConversationKey, DecidedApproval,
        DecidedBy, Delivery, FailedRecord, Greeting, IllegalTransition, NoticeText, OutboxItem,
        PauseRecord, QueuedPrompt, Replacement, RoomJob, RoomKind, RoomRecord, SendId,
        SilencedRecord, SpaceRecord, Spent, TEXT_FILE_BYTES_MAX, TurnId, TurnRecord, TurnState,
        WaitNotice,
    },
    room_settings::{Allowance, AllowedTools, RoomSettings},
    tool_tokens::ToolTokenRecord,
};

/// How much memory sled may use to cache what is on disk, in bytes.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often the folder is tried that another process holds, and how long to wait in between: one that was killed holds it until the
/// disk has answered it.
const LOCK_TRIES: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The form of keys and values that this program writes. Another one is refused at the door.
const FORMAT: u8 = 1;

/// What keeps the journal from growing without bound.
#[derive(Clone, Copy, Debug)]
pub struct JournalLimits {
    /// How long an event id is remembered, and with it that the event was seen.
    pub keep_events: Duration,
    /// The most event ids remembered; the oldest go first.
    pub event_ids_max: usize,
    /// The most admitted events that wait to be routed. Beyond it admission is refused and the
    /// homeserver tries again later.
    pub inbox_events_max: usize,
    /// The most prompts that wait in one conversation. Beyond it whoever asks is told so.
    pub queued_prompts_max: usize,
    /// The most room jobs that wait in one room. Beyond it the room's events wait in the inbox until
    /// a room job is done; those of other rooms go on.
    pub room_jobs_max: usize,
    /// The most messages that wait to be sent to one room. Beyond it what needs an answer at once
    /// waits in the inbox, and all that came later in this room with it.
    pub outbox_items_max: usize,
    /// The most messages whose event is remembered, and with it that they were said; the oldest go
    /// first, those of running turns never.
    pub sent_max: usize,
    /// The most turns whose prompts are kept after they were set aside; the oldest go first.
    pub failed_max: usize,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            keep_events: Duration::from_hours(7 * 24),
            event_ids_max: 1_000_000,
            inbox_events_max: 100_000,
            queued_prompts_max: 100,
            room_jobs_max: 1_000,
            outbox_items_max: 1_000,
            sent_max: 1_000_000,
            failed_max: 1_000,
        }
    }
}

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be opened, or another process has it open.
    #[error("cannot open the journal at {}; is another bridge running on it?", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What sled says.
        #[source]
        source: sled::Error,
    },
    /// The folder of the journal cannot be made, or not be closed to other users.
    #[error("cannot make the folder of the journal at {} private", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The disk did not take or give a record.
    #[error("the journal's disk failed")]
    Disk(#[from] sled::Error),
    /// The journal was written by another version of this program.
    #[error("the journal has format {found}, this program knows format {FORMAT}")]
    Format {
        /// The format found.
        found: u8,
    },
    /// A record cannot be read.
    #[error("the journal's {what} record cannot be read")]
    Corrupt {
        /// The kind of record.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A limit of [`JournalLimits`] is reached.
    #[error("the journal's limit of {limit} for {what} is reached")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A turn was asked to do what its state does not allow: a fault of the bridge, and nothing was written.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// See [`Journal::write_lock`].
struct WriteGuard<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, ()>);

/// The durable record. Cheap to clone; all clones are one journal.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    db: database::Database,
    flusher: flush::Flusher,
    limits: JournalLimits,
    /// Held by whoever looks before it writes, so that nobody writes in between.
    write_lock: Mutex<()>,
    /// Events in the inbox, counted so that admission need not scan.
    inbox_len: AtomicUsize,
    /// Event ids remembered.
    event_ids_len: AtomicUsize,
}

impl Journal {
    /// Opens the journal in folder `path`, making it if it is not there.
    pub fn open(path: &Path, limits: JournalLimits) -> Result<Self, JournalError> {
        // Messages of people are in it.
        private::tighten(path)
            .and_then(|()| private::create_folder(path))
            .map_err(|source| JournalError::Folder {
                path: path.to_owned(),
                source,
            })?;
        let db = open_database(path).map_err(|source| JournalError::Open {
            path: path.to_owned(),
            source,
        })?;
        let db = database::Database::new(db);
        match db.get(key::FORMAT)? {
            None => {
                db.insert(key::FORMAT, &[FORMAT])?;
                db.flush()?;
            }
            Some(found) if *found == [FORMAT] => {}
            Some(found) => {
                return Err(JournalError::Format {
                    found: found.first().copied().unwrap_or(0),
                });
            }
        }
        let (folder, condition) = (path.to_owned(), db.condition.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the journal, of which other tasks write to the last"
        )]
        tokio::spawn(async move { database::supervise(&folder, &condition).await });
        let count = |prefix: u8| db.scan_prefix([prefix]).keys().flatten().count();
        let inner = Inner {
            inbox_len: AtomicUsize::new(count(key::INBOX)),
            event_ids_len: AtomicUsize::new(count(key::EVENT_ID)),
            flusher: flush::Flusher::start(db.clone()),
            db,
            limits,
            write_lock: Mutex::new(()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Waits until everything written before this call is on disk.
    pub async fn durable(&self) -> Result<(), JournalError> {
        self.inner.flusher.flush().await
    }

    /// Ready when nothing becomes durable any more because the task that flushes has ended: the process must end, too.
    pub async fn flusher_ended(&self) {
        self.inner.flusher.ended().await;
    }

    /// How often the disk was asked to make sure (`fsync`) since the journal was opened. Callers of
    /// [`Journal::durable`] share, so this grows more slowly than they come.
    pub fn flushes(&self) -> u64 {
        self.inner.flusher.flushes()
    }

    /// How many bytes the journal takes on disk.
    pub fn bytes_on_disk(&self) -> Result<u64, JournalError> {
        Ok(self.inner.db.size_on_disk()?)
    }

    /// Whether it can be written.
    pub fn condition(&self) -> &StoreCondition {
        &self.inner.db.condition
    }

    /// The limits it keeps.
    pub fn limits(&self) -> &JournalLimits {
        &self.inner.limits
    }

    /// The right to look and then write, with nobody writing in between. Held for moments: no
    /// write waits for the disk.
    fn write_lock(&self) -> WriteGuard<'_> {
        let guard = self.inner.write_lock.lock();
        WriteGuard(guard.unwrap_or_else(PoisonError::into_inner))
    }

    fn db(&self) -> &database::Database {
        &self.inner.db
    }

    /// A number larger than all that were given before, also before a crash.
    pub(crate) fn next_number(&self) -> Result<u64, JournalError> {
        Ok(self.inner.db.generate_id()?)
    }

    fn get<T: DeserializeOwned>(
        &self,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>, JournalError> {
        self.db()
            .get(key)?
            .map(|value| decode(&value, what))
            .transpose()
    }

    fn put<T: Serialize>(
        &self,
        key: &[u8],
        value: &T,
        what: &'static str,
    ) -> Result<(), JournalError> {
        self.db().insert(key, encode(value, what)?)?;
        Ok(())
    }

    /// All records whose key begins with `prefix`, in key order.
    fn scan<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
        what: &'static str,
    ) -> impl Iterator<Item = Result<(sled::IVec, T), JournalError>> + use<T> {
        self.db().scan_prefix(prefix).map(move |entry| {
            let (key, value) = entry?;
            let value = decode(&value, what)?;
            Ok((key, value))
        })
    }

    fn inbox_len(&self) -> usize {
        self.inner.inbox_len.load(Ordering::Relaxed)
    }
}

/// Opens the database. Waits for its lock, a few seconds at most.
fn open_database(path: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::default()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    for _ in 1..LOCK_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) => std::thread::sleep(LOCK_PAUSE),
            opened => return opened,
        }
    }
    config.open()
}

/// Whether sled says that somebody else has the folder open. It gives no other sign than its words.
fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// A value as it is stored: a version byte, then JSON.
fn encode<T: Serialize>(value: &T, what: &'static str) -> Result<Vec<u8>, JournalError> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, value).map_err(|source| JournalError::Corrupt {
        what,
        source: Some(source),
    })?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, JournalError> {
    match bytes.split_first() {
        Some((&FORMAT, json)) => {
            serde_json::from_slice(json).map_err(|source| JournalError::Corrupt {
                what,
                source: Some(source),
            })
        }
        Some((&found, _)) => Err(JournalError::Format { found }),
        None => Err(JournalError::Corrupt { what, source: None }),
    }
}

#[cfg(test)]
mod tests;
