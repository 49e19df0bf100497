//! Agents in encrypted rooms: what encrypts for a room, and what opens what is said there.
//!
//! Each of our users that meets an encrypted room gets a device of its own and an identity that signs it; nobody of us has one before.
//! There is no login and no sync: keys come in transactions. The machines themselves are in the crate `encryption`; here is where their
//! keys lie (the journal), how they reach the homeserver, and who reads what is said in a room.
//!
//! Promises: what is to be said in an encrypted room is never sent in the clear because something failed; a message that is sent again is
//! sent in the same ciphertext; what a transaction brings is on disk before it is acknowledged.
//!
//! Without the feature `encryption`, without a key in the configuration, or on a homeserver that cannot do it, nothing here does anything.

mod intakes;
#[cfg(feature = "encryption")]
mod machines;
#[cfg(feature = "encryption")]
mod requests;
#[cfg(feature = "encryption")]
mod room_facts;
#[cfg(feature = "encryption")]
mod rows;

#[cfg(feature = "encryption")]
use std::sync::Arc;

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

pub use self::intakes::Intakes;
#[cfg(feature = "encryption")]
use self::machines::Machines;
use crate::{
    config,
    journal::{Journal, JournalError},
    matrix::{Homeserver, MatrixError},
    workers::Tasks,
};

/// The type of an event whose content is encrypted.
pub const ENCRYPTED_TYPE: &str = "m.room.encrypted";

/// The key of the configuration is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("`encryption.pickle_key` is not 32 bytes in base64; `openssl rand -base64 32` makes one")]
pub struct BadPickleKey;

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its key has not come, and may come later.
    #[error("its key has not come: {0}")]
    NoKey(String),
    /// It will never be read.
    #[error("it cannot be decrypted: {0}")]
    Damaged(String),
    /// Our own keys cannot be read at the moment.
    #[error("the keys cannot be read: {0}")]
    Failed(String),
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone, Default)]
pub struct Encryption {
    #[cfg(feature = "encryption")]
    machines: Option<Arc<Machines>>,
}

/// Rooms for which keys have come, to be looked at again.
pub type RoomsWithKeys = mpsc::UnboundedReceiver<OwnedRoomId>;

impl Encryption {
    /// Reads and writes as the configuration says, as soon as the homeserver is proven to support it.
    #[cfg(feature = "encryption")]
    pub fn new(
        config: &config::Encryption,
        journal: Journal,
        homeserver: Homeserver,
        bot: &UserId,
        tasks: Tasks,
    ) -> Result<(Self, RoomsWithKeys), BadPickleKey> {
        let (rooms_with_keys, receiver) = mpsc::unbounded_channel();
        let machines = Machines::new(config, journal, homeserver, bot, rooms_with_keys, tasks)
            .map_err(|_| BadPickleKey)?;
        let machines = machines.map(Arc::new);
        Ok((Self { machines }, receiver))
    }

    /// Nothing is built in that encrypts.
    #[cfg(not(feature = "encryption"))]
    pub fn new(
        _config: &config::Encryption,
        _journal: Journal,
        _homeserver: Homeserver,
        _bot: &UserId,
        _tasks: Tasks,
    ) -> Result<(Self, RoomsWithKeys), BadPickleKey> {
        Ok((Self::default(), mpsc::unbounded_channel().1))
    }

    /// Proves that the homeserver supports it, and takes in what an earlier process has left.
    pub fn begin(&self) -> Result<(), JournalError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return Machines::begin(machines);
        }
        Ok(())
    }

    /// Whether messages in encrypted rooms are read and written: proven, not only wanted.
    pub fn is_on(&self) -> bool {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.is_proven();
        }
        false
    }

    /// Keeps what a transaction brings for our devices. It is ours after the next [`Journal::durable`]; then call [`Encryption::wake`].
    pub fn admit(&self, intakes: &Intakes) -> Result<Vec<OwnedUserId>, JournalError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.admit(intakes);
        }
        let _ = intakes;
        Ok(Vec::new())
    }

    /// Takes in what was kept for these users.
    pub fn wake(&self, users: Vec<OwnedUserId>) {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.wake(users);
        }
        drop(users);
    }

    /// Who is in a room, or how it is encrypted, has changed.
    pub fn room_changed(&self, room: &RoomId) {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            machines.room_changed(room);
        }
        let _ = room;
    }

    /// Makes sure that a user of ours can be sent keys, before it comes into an encrypted room.
    pub async fn prepare(&self, user: &UserId) -> Result<(), MatrixError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines
            && machines.is_proven()
        {
            return machines.prepare(user).await;
        }
        let _ = user;
        Ok(())
    }

    /// What is sent to a room in place of this content, as [`ENCRYPTED_TYPE`]; `None` if it is sent as it is: the room is not encrypted, or
    /// events of this type never are.
    pub async fn seal(
        &self,
        sender: &UserId,
        room: &RoomId,
        event_type: &str,
        content: &RawValue,
    ) -> Result<Option<Box<RawValue>>, MatrixError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.seal(sender, room, event_type, content).await;
        }
        let _ = (sender, room, event_type, content);
        Ok(None)
    }

    /// An event as its sender wrote it, by the keys of one of `users`.
    pub async fn open(
        &self,
        users: &[OwnedUserId],
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Box<RawValue>, Unreadable> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.open(users, room, event).await;
        }
        let _ = (users, room, event);
        Err(Unreadable::Failed("encryption is not built in".to_owned()))
    }
}
