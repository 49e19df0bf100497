//! Turns that a person wants stopped.
//!
//! Letta is told to stop as well; this is for what Letta does not hear of: a turn that waits to be
//! taken, or a server that does not end it.

use std::collections::HashSet;

use tokio::sync::watch;

use crate::journal::TurnId;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Stops {
    wanted: watch::Sender<HashSet<TurnId>>,
}

impl Stops {
    /// The turn shall stop.
    pub(super) fn want(&self, turn: &TurnId) {
        self.wanted.send_modify(|turns| {
            turns.insert(turn.clone());
        });
    }

    /// Whether the turn shall stop.
    pub(super) fn is_wanted(&self, turn: &TurnId) -> bool {
        self.wanted.borrow().contains(turn)
    }

    /// The turn is over.
    pub(super) fn forget(&self, turn: &TurnId) {
        self.wanted.send_if_modified(|turns| turns.remove(turn));
    }

    /// Ready when the turn shall stop.
    pub(super) async fn wanted(&self, turn: &TurnId) {
        let mut wanted = self.wanted.subscribe();
        // The sender lives as long as `self`.
        let _ = wanted.wait_for(|turns| turns.contains(turn)).await;
    }
}
