//! A turn as it is written down: what it is about, what it has cost, and its state.
//!
//! Promise: the state changes by transitions only ([`TurnRecord::advance`]), see [`TurnState`].

use serde::{Deserialize, Serialize};

use super::{
    ConversationKey, QueuedPrompt, Spent, TurnId, WaitNotice,
    approval::{ApprovalRecord, DecidedApproval},
    turn_state::{IllegalTransition, TurnState},
};
use crate::{journal::ReactionRecord, time::Millis};

mod keys;
mod stored;

/// A turn that has begun and not ended. It is stored with a version, see `stored`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Box<serde_json::value::RawValue>", into = "stored::TurnV2")]
pub struct TurnRecord {
    /// The turn.
    pub id: TurnId,
    /// Where it takes place.
    pub key: ConversationKey,
    /// What it answers, oldest first; empty if nobody in the room has set it going.
    pub prompts: Vec<QueuedPrompt>,
    /// What people reacted to the agent's messages since its last turn.
    pub reactions: Vec<ReactionRecord>,
    /// Whether somebody has set it going outside of Matrix.
    pub is_external: bool,
    /// When it began.
    pub started_at: Millis,
    /// What it has cost so far.
    pub spent: Spent,
    /// What may have been shown of its segment.
    pub shown: ShownSegment,
    /// How many segments it has behind it.
    segment: u32,
    /// The number in the keys under which Letta gets the prompts.
    prompt_keys: u32,
    /// What it does now.
    state: TurnState,
}

/// What a room may have been shown of the segment that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShownSegment {
    /// Edits that may have been sent, reserved in blocks so that no number is used twice.
    pub edits_reserved: u32,
    /// The same for edits of the status line.
    pub status_edits_reserved: u32,
    /// The notice that the turn waits, if the room was told so.
    pub waiting: Option<WaitNotice>,
}

impl TurnRecord {
    /// A turn of which nothing is done yet.
    pub fn new(
        id: TurnId,
        key: ConversationKey,
        prompts: Vec<QueuedPrompt>,
        started_at: Millis,
    ) -> Self {
        Self {
            id,
            key,
            prompts,
            reactions: Vec::new(),
            is_external: false,
            started_at,
            spent: Spent::default(),
            shown: ShownSegment::default(),
            segment: 0,
            prompt_keys: 0,
            state: TurnState::Streaming { run: None },
        }
    }

    /// A turn that was started outside of Matrix.
    pub fn external(id: TurnId, key: ConversationKey, started_at: Millis) -> Self {
        Self {
            is_external: true,
            ..Self::new(id, key, Vec::new(), started_at)
        }
    }

    /// A turn about a request that was found waiting. There is nothing to say before the room is asked.
    pub fn found(
        id: TurnId,
        key: ConversationKey,
        approval: ApprovalRecord,
        started_at: Millis,
    ) -> Self {
        let answer = super::Answer::default();
        Self {
            state: TurnState::Asking { answer, approval },
            ..Self::new(id, key, Vec::new(), started_at)
        }
    }

    /// What it does now.
    pub fn state(&self) -> &TurnState {
        &self.state
    }

    /// Takes a transition. One that the state does not allow is refused, and the turn stays as it was.
    pub fn advance(
        &mut self,
        transition: impl FnOnce(TurnState) -> Result<TurnState, IllegalTransition>,
    ) -> Result<(), IllegalTransition> {
        let next = transition(self.state.clone())?;
        let before = std::mem::replace(&mut self.state, next);
        if self.state.asks_letta() && !before.asks_letta() {
            self.segment += 1;
            self.shown = ShownSegment::default();
            if matches!(self.state, TurnState::Streaming { .. }) {
                // Letta has refused the prompts before, and would refuse them again under the same keys.
                self.prompt_keys = self.segment;
            }
        }
        Ok(())
    }

    /// The number of its segment: how many it has behind it.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// The name under which it speaks now.
    pub fn segment_id(&self) -> TurnId {
        self.id.segment(self.segment)
    }

    /// What it waits for, if it waits for a person and has nothing to say first.
    pub fn waits_for(&self) -> Option<&ApprovalRecord> {
        self.state.awaits()
    }

    /// What was decided last, and it goes on or has gone on from.
    pub fn decided(&self) -> Option<&DecidedApproval> {
        self.state.decided()
    }

    /// Whether a person has stopped it while it waited for a decision.
    pub fn is_stopped(&self) -> bool {
        self.state.is_stopped()
    }

    /// Whether this person has asked for it.
    pub fn is_asked_by(&self, user: &ruma::UserId) -> bool {
        self.prompts.iter().any(|prompt| prompt.sender == user)
    }
}
