//! What spans several parts: making and ending accounts, changing profiles and devices, upgrading and ending rooms.
//!
//! An operation locks, reads and writes in several parts, in an order of its own; no part knows it.

use crate::{
    accounts::Accounts,
    config::{self, Config},
    keys::Keys,
    media::Media,
    rooms::Rooms,
    store::Store,
    stream::Stream,
    sync::SyncContext,
};

mod accept_invitations;
mod admins;
pub mod deactivate;
mod devices;
pub mod end_room;
mod initial_rooms;
mod profile;
pub mod register;
mod unregister;
pub mod upgrade;
pub mod user_directory;

/// The operations on accounts, with the parts that they span. Clones are the same.
#[derive(Clone, Debug)]
pub struct Operations {
    registration: config::Registration,
    admin: config::Admin,
    store: Store,
    stream: Stream,
    accounts: Accounts,
    keys: Keys,
    media: Media,
    rooms: Rooms,
    sync: SyncContext,
}

impl Operations {
    /// Operations over these parts.
    pub fn new(config: &Config, keys: Keys, media: Media, rooms: Rooms, sync: SyncContext) -> Self {
        Self {
            registration: config.registration.clone(),
            admin: config.admin.clone(),
            store: rooms.store.clone(),
            stream: rooms.stream.clone(),
            accounts: rooms.accounts.clone(),
            keys,
            media,
            rooms,
            sync,
        }
    }
}
