//! What a turn has cost so far, and why it waits: written down, so that a restart begins no budget anew.

use std::collections::BTreeSet;

use letta_client::AgentId;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use super::{ConversationKey, QueuedPrompt};
use crate::time::Millis;

/// What a turn has cost so far. The limits are in `turns::budget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// How often Letta has taken the turn's prompts.
    pub sends: u32,
    /// How many runs were begun for it: by its prompts and by decisions.
    pub runs: u32,
    /// How often Letta has failed in a row, with an answer of its own or with a broken stream.
    pub failures: u32,
    /// How many processes have ended before the turn did.
    pub restarts: u32,
    /// How long it has waited in all, in milliseconds.
    pub waited_ms: u64,
}

/// The notice with which a room was told that a turn waits. There is one in each segment of a turn; it is edited when the wait
/// ends, and again should the turn wait again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitNotice {
    /// Whether it says that the turn still waits.
    pub open: bool,
    /// How often it was edited.
    pub edits: u32,
    /// Since when the turn waits, if that is known.
    pub since: Option<Millis>,
    /// The code of the reason; empty if it is not known.
    pub code: String,
    /// Whether the connection was lost in the middle of an answer.
    pub lost: bool,
    /// Since when the agent is paused, if the notice told of a pause.
    pub pause: Option<Millis>,
}

/// Why an agent cannot speak in a room, and who was told so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredSilence")]
pub struct SilencedRecord {
    /// The code of the reason.
    pub code: String,
    /// The users who were told.
    pub told: BTreeSet<OwnedUserId>,
}

/// Earlier versions stored the code alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredSilence {
    Code(String),
    Record {
        code: String,
        #[serde(default)]
        told: BTreeSet<OwnedUserId>,
    },
}

impl From<StoredSilence> for SilencedRecord {
    fn from(stored: StoredSilence) -> Self {
        match stored {
            StoredSilence::Code(code) => Self::new(&code),
            StoredSilence::Record { code, told } => Self { code, told },
        }
    }
}

impl SilencedRecord {
    /// The most users remembered as told; then all are forgotten, and each may be told once more.
    pub const TOLD_MAX: usize = 100;

    /// Nobody was told yet.
    pub fn new(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            told: BTreeSet::new(),
        }
    }

    /// Remembers that a user was told.
    pub fn note_told(&mut self, user: &UserId) {
        if self.told.len() >= Self::TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(user.to_owned());
    }
}

/// Prompts that got no answer and wait for nobody: they were set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRecord {
    /// What people call it by.
    pub number: u64,
    /// Where they were said.
    pub key: ConversationKey,
    /// The prompts, oldest first.
    pub prompts: Vec<QueuedPrompt>,
    /// Why, in a sentence for people.
    pub reason: String,
    /// The code of the reason.
    pub code: String,
    /// When they were set aside.
    pub at: Millis,
}

/// An agent that is not asked for a while, because every question would fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRecord {
    /// The agent.
    pub agent: AgentId,
    /// Why, in a sentence for people.
    pub reason: String,
    /// The code of the reason.
    pub code: String,
    /// Since when.
    pub since: Millis,
    /// When one waiting prompt is tried.
    pub until: Millis,
    /// How many tries have failed.
    pub tries: u32,
}
