//! One round through the inbox: how far it has come, and which rooms it had to leave waiting.
//!
//! A room that can take no more is held: its events stay admitted, in order, and those of all other
//! rooms go on. When the round is over, the next one begins with the oldest event again.

use std::{collections::HashSet, time::Duration};

use ruma::{OwnedRoomId, RoomId};
use tokio::time::Instant;
use tracing::warn;

use crate::journal::{InboxPosition, JournalError};

/// How long a room that can take no more is left alone.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct InboxPass {
    after: Option<InboxPosition>,
    held: HashSet<OwnedRoomId>,
    /// What the round before this one held; who waits on is not news.
    held_before: HashSet<OwnedRoomId>,
    over_at: Option<Instant>,
}

impl InboxPass {
    /// The event that was looked at last.
    pub(super) fn after(&self) -> Option<InboxPosition> {
        self.after
    }

    /// Everything up to this event was looked at.
    pub(super) fn reached(&mut self, admission: InboxPosition) {
        self.after = Some(admission);
    }

    /// Whether events of this room wait.
    pub(super) fn holds(&self, room: &RoomId) -> bool {
        self.held.contains(room)
    }

    /// Lets the events of a room wait until the round is over.
    pub(super) fn hold(&mut self, room: OwnedRoomId, full: &JournalError) {
        if !self.held_before.contains(&room) {
            warn!(
                room.id = %room, error = full as &dyn std::error::Error,
                "room outbox or job queue full; pausing this room's events"
            );
        }
        self.over_at.get_or_insert(Instant::now() + HELD_PAUSE);
        self.held.insert(room);
    }

    /// Ready when the held rooms shall be tried again: never if there are none.
    pub(super) async fn over(&self) {
        match self.over_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// The next round, from the oldest event on.
    pub(super) fn another(self) -> Self {
        Self {
            held_before: self.held,
            ..Self::default()
        }
    }
}
