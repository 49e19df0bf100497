//! What a client learns: `/sync`, sliding sync, and what they carry besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

pub mod device_lists;
pub mod filter;
pub mod lazy;
pub mod pending_sends;
pub mod presence;
pub mod room;
pub mod sliding;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod v3;
pub mod waiting;

#[cfg(test)]
pub use crate::store::records::sync as record;

use std::sync::Arc;

use crate::{accounts::Accounts, config, rooms::Rooms, store::Store, stream::Stream};
use lazy::SentMembers;
use pending_sends::PendingSends;
use presence::Presence;
use sliding::SlidingSync;
use waiting::WaitingSyncs;

/// What both syncs are answered from. Clones are the same.
#[derive(Clone, Debug)]
pub struct SyncContext {
    pub(crate) config: config::Sync,
    pub(crate) store: Store,
    pub(crate) stream: Stream,
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
    /// Who is there.
    pub(crate) presence: Presence,
    /// Who is about to hear that an event was sent.
    pub(crate) pending_sends: PendingSends,
    /// Which members each device was already told of.
    pub(crate) sent_members: Arc<SentMembers>,
    /// What sliding sync told whom.
    pub(crate) sliding: Arc<SlidingSync>,
    /// Syncs that wait for something to happen.
    pub(crate) waiting_syncs: WaitingSyncs,
}

impl SyncContext {
    /// Nobody has synced yet.
    pub fn new(config: config::Sync, accounts: Accounts, rooms: Rooms) -> Self {
        let (store, stream) = (rooms.store.clone(), rooms.stream.clone());
        let presence = Presence::new(store.clone(), stream.clone(), config.allow_local_presence);
        Self {
            config,
            store,
            stream,
            accounts,
            rooms,
            presence,
            pending_sends: PendingSends::default(),
            sent_members: Arc::default(),
            sliding: Arc::default(),
            waiting_syncs: WaitingSyncs::default(),
        }
    }
}
