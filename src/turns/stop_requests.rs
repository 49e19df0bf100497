//! Turns that a person wants stopped.
//!
//! Letta is told to stop as well; this is for what Letta does not hear of: a turn that waits to be
//! taken, or a server that does not end it.

use std::collections::HashMap;

use ruma::{OwnedUserId, UserId};
use tokio::sync::watch;

use crate::journal::TurnId;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct StopRequests {
    turns: watch::Sender<HashMap<TurnId, StopRequest>>,
}

/// How a turn shall stop.
#[derive(Clone, Debug, Default)]
struct StopRequest {
    stop: bool,
    /// Who said so.
    by: Option<OwnedUserId>,
    /// Somebody else says so in the room.
    answered: bool,
    /// Its answer was redacted: it says nothing more at all.
    redacted: bool,
}

impl StopRequests {
    /// The turn shall stop.
    pub(super) fn add(&self, turn: &TurnId, by: &UserId) {
        self.change(turn, |request| {
            request.stop = true;
            request.by = Some(by.to_owned());
        });
    }

    /// Who wants the turn to stop.
    pub(super) fn by(&self, turn: &TurnId) -> Option<OwnedUserId> {
        self.request(turn).by
    }

    /// That the turn stops is said as the answer to a command, so the turn need not say it again.
    pub(super) fn answer_given(&self, turn: &TurnId) {
        self.change(turn, |request| request.answered = true);
    }

    /// The turn's answer was redacted.
    pub(super) fn redact(&self, turn: &TurnId) {
        self.change(turn, |request| request.redacted = true);
    }

    /// Whether the turn shall stop.
    pub(super) fn is_requested(&self, turn: &TurnId) -> bool {
        self.request(turn).stop
    }

    /// Whether somebody else says in the room that the turn stops.
    pub(super) fn is_answered(&self, turn: &TurnId) -> bool {
        self.request(turn).answered
    }

    /// The turn is over.
    pub(super) fn forget(&self, turn: &TurnId) {
        self.turns
            .send_if_modified(|turns| turns.remove(turn).is_some());
    }

    /// Ready when the turn shall stop.
    pub(super) async fn requested(&self, turn: &TurnId) {
        self.until(turn, |request| request.stop).await;
    }

    /// Ready when the turn's answer was redacted.
    pub(super) async fn redacted(&self, turn: &TurnId) {
        self.until(turn, |request| request.redacted).await;
    }

    async fn until(&self, turn: &TurnId, holds: impl Fn(&StopRequest) -> bool) {
        let mut turns = self.turns.subscribe();
        // The sender lives as long as `self`.
        let _ = turns
            .wait_for(|turns| turns.get(turn).is_some_and(&holds))
            .await;
    }

    fn request(&self, turn: &TurnId) -> StopRequest {
        self.turns.borrow().get(turn).cloned().unwrap_or_default()
    }

    fn change(&self, turn: &TurnId, change: impl FnOnce(&mut StopRequest)) {
        self.turns
            .send_modify(|turns| change(turns.entry(turn.clone()).or_default()));
    }
}
