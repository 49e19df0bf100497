//! What the journal remembers, as types. Each is written with a version byte; a field that is added
//! later needs a default.

use std::{collections::BTreeSet, fmt};

use letta_client::AgentId;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

mod approval;
mod attachment;
mod notice_text;
mod queued;
mod room;
mod spent;
mod turn;
mod turn_state;

pub use self::{
    approval::{ApprovalCall, ApprovalDecision, ApprovalRecord, DecidedApproval, DecidedBy},
    attachment::{Attachment, AttachmentKind, TEXT_FILE_BYTES_MAX},
    notice_text::NoticeText,
    queued::{OutboxItem, RoomJob},
    room::{AvatarRecord, Greeting, Replacement, RoomKind, RoomRecord, SpaceRecord},
    spent::{FailedRecord, PauseRecord, SilencedRecord, Spent, WaitNotice},
    turn::TurnRecord,
    turn_state::{Delivery, IllegalTransition, TurnState},
};
use crate::time::Millis;

/// An event that the homeserver was told we have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmittedEvent {
    /// The event as it came.
    pub event: Box<RawValue>,
    /// When it came.
    pub admitted_at: Millis,
}

/// Where an exchange with an agent takes place: a room's main timeline, or a thread in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConversationKey {
    /// The agent.
    pub agent: AgentId,
    /// The room.
    pub room: OwnedRoomId,
    /// The thread's first event; `None` is the main timeline.
    pub thread: Option<OwnedEventId>,
}

/// A person's message that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedPrompt {
    /// The event.
    pub event_id: OwnedEventId,
    /// Who wrote it.
    pub sender: OwnedUserId,
    /// What it says to the agent.
    pub text: String,
    /// When it was admitted.
    pub admitted_at: Millis,
    /// How often it was put in again after it had been set aside.
    #[serde(default)]
    pub retries: u32,
    /// What came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// The event that it replies to, if its agent has to be told of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<OwnedEventId>,
}

/// A turn: a pure function of the first event it answers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(String);

impl TurnId {
    /// The turn that begins with this event.
    pub fn of(first: &ruma::EventId, agent: &AgentId) -> Self {
        Self(short_hash(&[first.as_str(), agent.as_str()]))
    }

    /// The turn that begins with this prompt. One that is tried again says what it says under other ids than the turn before.
    pub fn of_prompt(first: &QueuedPrompt, agent: &AgentId) -> Self {
        match first.retries {
            0 => Self::of(&first.event_id, agent),
            retries => Self::named(&[
                "retry",
                first.event_id.as_str(),
                agent.as_str(),
                &retries.to_string(),
            ]),
        }
    }

    /// A turn that no event of a room begins with, named by these words for ever.
    pub fn named(words: &[&str]) -> Self {
        Self(short_hash(words))
    }

    /// The name of the turn's segment: what is said before a person decides, between two decisions,
    /// and after the last. The first segment has the name of the turn.
    #[must_use]
    pub fn segment(&self, number: u32) -> Self {
        match number {
            0 => self.clone(),
            number => Self(format!("{}.c{number}", self.0)),
        }
    }

    /// The id under which part `index` of the answer is sent.
    pub fn part(&self, index: usize) -> SendId {
        SendId(format!("{}.{index}", self.0))
    }

    /// The id under which edit `number` of the answer's first part is sent.
    pub fn edit(&self, number: u32) -> SendId {
        SendId(format!("{}.0.edit{number}", self.0))
    }

    /// The id of the edit that completes the answer's first part.
    pub fn last_edit(&self) -> SendId {
        SendId(format!("{}.0.end", self.0))
    }

    /// The id of the status line.
    pub fn status(&self) -> SendId {
        self.notice_id("status")
    }

    /// The id under which edit `number` of the status line is sent.
    pub fn status_edit(&self, number: u32) -> SendId {
        self.status().derived(&format!("edit{number}"))
    }

    /// The id of the approval message that asks whether tools may run.
    pub fn approval_message(&self) -> SendId {
        self.notice_id("card")
    }

    /// The id of a notice about the turn itself, such as `waiting` or `failed`.
    pub fn notice_id(&self, kind: &str) -> SendId {
        SendId(format!("{}.{kind}", self.0))
    }
}

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Our id in `PUT /send/{type}/{txnId}`: says which message of ours this is, for ever.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendId(String);

impl SendId {
    /// The id of a message that is sent at most once for these words, in this order.
    pub fn of(words: &[&str]) -> Self {
        Self(short_hash(words))
    }

    /// The id of something that belongs to this message, such as an edit of it.
    #[must_use]
    pub fn derived(&self, kind: &str) -> Self {
        Self(format!("{}.{kind}", self.0))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 128 bits of SHA-256 in hexadecimal: short enough for a URL, too long to meet twice.
fn short_hash(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(u64::try_from(word.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(word);
    }
    let mut start = [0; 16];
    start.copy_from_slice(&hash.finalize()[..16]);
    format!("{:032x}", u128::from_be_bytes(start))
}

/// The end of a turn, as the room shall see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The agent's text, complete. May be empty.
    pub text: String,
    /// A sentence about how the turn ended, if it did not simply end.
    #[serde(rename = "remark")]
    pub ending_notice: Option<NoticeText>,
}

/// Whether Letta still lists an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentStatus {
    /// It does.
    #[default]
    Live,
    /// It has not since this time.
    Gone {
        /// When it was first missed.
        since: Millis,
    },
    /// It was gone for longer than the grace period and has left its room. The record stays, so
    /// that it comes back to the same room.
    Retired,
}

/// An agent as the bridge has set it up in Matrix. Each field says what has been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct AgentRecord {
    /// The agent.
    pub id: AgentId,
    /// Its name when last seen.
    pub name: String,
    /// Its description when last seen.
    #[serde(default)]
    pub description: Option<String>,
    /// Its model when last seen.
    #[serde(default)]
    pub model: Option<String>,
    /// Whether the ghost is registered.
    #[serde(default)]
    pub registered: bool,
    /// The display name given to the ghost.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Its room.
    #[serde(default)]
    pub room: Option<OwnedRoomId>,
    /// The name last given to the room by us.
    #[serde(default)]
    pub room_name: Option<String>,
    /// The topic last given to the room by us.
    #[serde(default)]
    pub room_topic: Option<String>,
    /// Whether the ghost is in its room.
    #[serde(default)]
    pub joined: bool,
    /// Whether the room is listed in the space.
    #[serde(default)]
    pub in_space: bool,
    /// The room that it had before and could not follow to the one that replaced it. What belongs to that room is given to the next
    /// one.
    #[serde(default)]
    pub previous_room: Option<OwnedRoomId>,
    /// People who have been invited (or could not be, which is logged).
    #[serde(default)]
    pub invited: BTreeSet<OwnedUserId>,
    /// Whether Letta still lists it.
    #[serde(default)]
    #[serde(rename = "presence")]
    pub status: AgentStatus,
    /// The space whose members can join the room, as far as we have said so.
    #[serde(default)]
    pub open_to: Option<OwnedRoomId>,
    /// The picture made for it.
    #[serde(default)]
    pub avatar: Option<AvatarRecord>,
    /// The greeting in its room.
    #[serde(default)]
    pub greeting: Greeting,
    /// The name that was compared with those of others.
    #[serde(default)]
    pub compared_name: Option<String>,
    /// Whether somebody else is called so.
    #[serde(default)]
    pub is_lookalike: bool,
}

#[cfg(test)]
mod tests;
