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
pub(super) struct Stops {
    turns: watch::Sender<HashMap<TurnId, Wish>>,
}

/// How a turn shall stop.
#[derive(Clone, Debug, Default)]
struct Wish {
    stop: bool,
    /// Who said so.
    by: Option<OwnedUserId>,
    /// Somebody else says so in the room.
    answered: bool,
    /// Its answer was redacted: it says nothing more at all.
    redacted: bool,
}

impl Stops {
    /// The turn shall stop.
    pub(super) fn want(&self, turn: &TurnId, by: &UserId) {
        self.change(turn, |wish| {
            wish.stop = true;
            wish.by = Some(by.to_owned());
        });
    }

    /// Who wants the turn to stop.
    pub(super) fn by(&self, turn: &TurnId) -> Option<OwnedUserId> {
        self.wish(turn).by
    }

    /// That the turn stops is said as the answer to a command, so the turn need not say it again.
    pub(super) fn answer_given(&self, turn: &TurnId) {
        self.change(turn, |wish| wish.answered = true);
    }

    /// The turn's answer was redacted.
    pub(super) fn redact(&self, turn: &TurnId) {
        self.change(turn, |wish| wish.redacted = true);
    }

    /// Whether the turn shall stop.
    pub(super) fn is_wanted(&self, turn: &TurnId) -> bool {
        self.wish(turn).stop
    }

    /// Whether somebody else says in the room that the turn stops.
    pub(super) fn is_answered(&self, turn: &TurnId) -> bool {
        self.wish(turn).answered
    }

    /// The turn is over.
    pub(super) fn forget(&self, turn: &TurnId) {
        self.turns
            .send_if_modified(|turns| turns.remove(turn).is_some());
    }

    /// Ready when the turn shall stop.
    pub(super) async fn wanted(&self, turn: &TurnId) {
        self.until(turn, |wish| wish.stop).await;
    }

    /// Ready when the turn's answer was redacted.
    pub(super) async fn redacted(&self, turn: &TurnId) {
        self.until(turn, |wish| wish.redacted).await;
    }

    async fn until(&self, turn: &TurnId, holds: impl Fn(&Wish) -> bool) {
        let mut turns = self.turns.subscribe();
        // The sender lives as long as `self`.
        let _ = turns
            .wait_for(|turns| turns.get(turn).is_some_and(&holds))
            .await;
    }

    fn wish(&self, turn: &TurnId) -> Wish {
        self.turns.borrow().get(turn).cloned().unwrap_or_default()
    }

    fn change(&self, turn: &TurnId, change: impl FnOnce(&mut Wish)) {
        self.turns
            .send_modify(|turns| change(turns.entry(turn.clone()).or_default()));
    }
}
