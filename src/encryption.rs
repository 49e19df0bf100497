//! Agents in encrypted rooms: encrypts what is sent there, and decrypts what is said.
//!
//! Each of our users that meets an encrypted room gets a device of its own and an identity that signs it; nobody of us but the bot has one
//! before. There is no login and no sync: keys come in transactions. The machines themselves are in the crate `encryption`; here is where
//! their keys lie (the journal), how they reach the homeserver, and which rooms are encrypted.
//!
//! Promises: nothing is ever sent to an encrypted room in the clear because something failed or is not known yet; what a transaction brings
//! is on disk before it is acknowledged. Only where the homeserver does not support it, and never has, is everything as if no room were
//! encrypted.
//!
//! Without the feature `encryption`, or without a key in the configuration, nothing is supported.

#[cfg(feature = "encryption")]
mod encrypted_rooms;
#[cfg(feature = "encryption")]
mod machines;
mod payload;
#[cfg(feature = "encryption")]
mod requests;
#[cfg(feature = "encryption")]
mod row_store;

#[cfg(feature = "encryption")]
use std::sync::Arc;

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

#[cfg(feature = "encryption")]
use self::machines::Machines;
pub use self::payload::EncryptionPayload;
use crate::{
    config,
    journal::{Journal, JournalError, OutboxItem},
    matrix::{Homeserver, MatrixError},
    workers::Tasks,
};

/// The type of an event whose content is encrypted.
pub const ENCRYPTED_TYPE: &str = "m.room.encrypted";

/// Whether the homeserver supports what encryption needs: devices without a login, and to-device messages in transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// It does: it has done it.
    Supported,
    /// That is being found out.
    Unknown,
    /// It does not, or encryption is turned off.
    #[default]
    Unsupported,
}

/// The key of the configuration is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("`encryption.pickle_key` is not 32 bytes in base64; `openssl rand -base64 32` makes one")]
pub struct BadPickleKey;

/// Why encryption cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration is wrong.
    #[error(transparent)]
    Key(#[from] BadPickleKey),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why an event cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// Its room key has not come, and may come later.
    #[error("no room key: {0}")]
    NoKey(String),
    /// It will never be decrypted.
    #[error("cannot be decrypted: {0}")]
    Damaged(String),
    /// Our own keys cannot be read at the moment.
    #[error("cannot read the encryption keys: {0}")]
    Failed(String),
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone, Default)]
pub struct Encryption {
    #[cfg(feature = "encryption")]
    machines: Option<Arc<Machines>>,
}

/// Rooms whose encrypted events are to be looked at again: a room key has come, or [`Support`] is known.
pub type RoomsToDecrypt = mpsc::UnboundedReceiver<OwnedRoomId>;

impl Encryption {
    /// Encrypts and decrypts as the configuration says.
    #[cfg(feature = "encryption")]
    pub fn new(
        config: &config::Encryption,
        journal: Journal,
        homeserver: Homeserver,
        bot: &UserId,
        tasks: Tasks,
    ) -> Result<(Self, RoomsToDecrypt), SetupError> {
        let (sender, rooms) = mpsc::unbounded_channel();
        let machines = Machines::new(config, journal, homeserver, bot, sender, tasks)?;
        let machines = machines.map(Arc::new);
        Ok((Self { machines }, rooms))
    }

    /// Nothing is built in that encrypts.
    #[cfg(not(feature = "encryption"))]
    pub fn new(
        _config: &config::Encryption,
        _journal: Journal,
        _homeserver: Homeserver,
        _bot: &UserId,
        _tasks: Tasks,
    ) -> Result<(Self, RoomsToDecrypt), SetupError> {
        Ok((Self::default(), mpsc::unbounded_channel().1))
    }

    /// Finds out whether the homeserver supports it, and applies what an earlier process has left.
    pub fn begin(&self) -> Result<(), JournalError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return Machines::begin(machines);
        }
        Ok(())
    }

    /// Whether messages in encrypted rooms are read and written.
    pub fn support(&self) -> Support {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.support();
        }
        Support::Unsupported
    }

    /// Keeps what a transaction brings for our devices. It is ours after the next [`Journal::durable`]; then call [`Encryption::wake`] with
    /// the answer.
    pub fn queue_changes(
        &self,
        payload: &EncryptionPayload,
    ) -> Result<Vec<OwnedUserId>, JournalError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.queue_changes(payload);
        }
        let _ = payload;
        Ok(Vec::new())
    }

    /// Applies what was kept for these users.
    pub fn wake(&self, users: Vec<OwnedUserId>) {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.wake(users);
        }
        drop(users);
    }

    /// The members of a room, or how it is encrypted, have changed.
    pub fn room_changed(&self, room: &RoomId) {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            machines.room_changed(room);
        }
        let _ = room;
    }

    /// Makes sure that a user of ours has a device that can be sent keys, as far as the homeserver supports it. Fails only where trying again
    /// may help.
    pub async fn ensure_device(&self, user: &UserId) -> Result<(), MatrixError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.ensure_device(user).await;
        }
        let _ = user;
        Ok(())
    }

    /// The message as it is sent: encrypted where its room is. A failure that is permanent is a refusal to say whether the room is encrypted,
    /// which is also how who is not in the room is answered; whatever fails, the message must not be sent as it is.
    pub async fn encrypt(&self, item: OutboxItem) -> Result<OutboxItem, MatrixError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.encrypt(item).await;
        }
        Ok(item)
    }

    /// An event as its sender wrote it, by the keys of one of `users`.
    pub async fn decrypt(
        &self,
        users: &[OwnedUserId],
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Box<RawValue>, DecryptError> {
        #[cfg(feature = "encryption")]
        if let Some(machines) = &self.machines {
            return machines.decrypt(users, room, event).await;
        }
        let _ = (users, room, event);
        Err(DecryptError::Failed("it is not supported".to_owned()))
    }
}

#[cfg(test)]
#[cfg(feature = "encryption")]
mod tests;
