//! The forms in which turns are stored.
//!
//! - Version 2 is written: the state as one value, and `"v": 2`.
//! - Version 1 had no `v` and no state: what a turn did followed from `answer`, `ask` and the flags in it. A journal of then opens,
//!   and its turns go on.
//!
//! A field that is added to version 2 needs a default; what cannot be read so is another version.

use letta_client::{MessageId, RunId};
use serde::{Deserialize, Serialize, de::Error};
use serde_json::value::RawValue;

use super::{ShownSegment, TurnRecord};
use crate::{
    journal::ReactionRecord,
    journal::record::{
        Answer, ApprovalCall, ApprovalDecision, ApprovalRecord, ConversationKey, DecidedApproval,
        Delivery, QueuedPrompt, SendId, Spent, TurnId, TurnState, WaitNotice,
    },
    time::Millis,
};

/// The version that is written.
const VERSION: u8 = 2;

#[derive(Deserialize)]
struct Version {
    /// Version 1 did not name itself.
    #[serde(default = "unnamed")]
    v: u8,
}

fn unnamed() -> u8 {
    1
}

impl TryFrom<Box<RawValue>> for TurnRecord {
    type Error = serde_json::Error;

    fn try_from(stored: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let json = stored.get();
        match serde_json::from_str::<Version>(json)?.v {
            1 => serde_json::from_str::<TurnV1>(json).map(Self::from),
            VERSION => serde_json::from_str::<TurnV2>(json).map(Self::from),
            other => Err(serde_json::Error::custom(format_args!(
                "turn record of version {other}; this program knows versions 1 and {VERSION}"
            ))),
        }
    }
}

/// What is written.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TurnV2 {
    v: u8,
    id: TurnId,
    key: ConversationKey,
    prompts: Vec<QueuedPrompt>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactionRecord>,
    is_external: bool,
    started_at: Millis,
    spent: Spent,
    shown: ShownSegment,
    segment: u32,
    prompt_keys: u32,
    state: TurnState,
}

impl From<TurnRecord> for TurnV2 {
    fn from(turn: TurnRecord) -> Self {
        Self {
            v: VERSION,
            id: turn.id,
            key: turn.key,
            prompts: turn.prompts,
            reactions: turn.reactions,
            is_external: turn.is_external,
            started_at: turn.started_at,
            spent: turn.spent,
            shown: turn.shown,
            segment: turn.segment,
            prompt_keys: turn.prompt_keys,
            state: turn.state,
        }
    }
}

impl From<TurnV2> for TurnRecord {
    fn from(stored: TurnV2) -> Self {
        Self {
            id: stored.id,
            key: stored.key,
            prompts: stored.prompts,
            reactions: stored.reactions,
            is_external: stored.is_external,
            started_at: stored.started_at,
            spent: stored.spent,
            shown: stored.shown,
            segment: stored.segment,
            prompt_keys: stored.prompt_keys,
            state: stored.state,
        }
    }
}

/// Version 1. Fields with a default are those that its first records lack.
#[derive(Deserialize)]
struct TurnV1 {
    id: TurnId,
    key: ConversationKey,
    prompts: Vec<QueuedPrompt>,
    started_at: Millis,
    run: Option<RunId>,
    edits_reserved: u32,
    #[serde(default)]
    status_edits_reserved: u32,
    /// What there is to say at the end of the segment, once it has ended.
    answer: Option<Answer>,
    #[serde(default)]
    elsewhere: bool,
    /// The number of the segment.
    #[serde(default)]
    chapter: u32,
    #[serde(default)]
    ask: Option<AskV1>,
    /// The number in the keys of the prompts; that of the segment if they were not sent.
    #[serde(default)]
    sent_in: Option<u32>,
    #[serde(default)]
    spent: Spent,
    #[serde(default)]
    waiting: Option<WaitNotice>,
}

/// What a person is asked at the end of the segment; or, with a verdict, what the segment follows from.
#[derive(Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "this is how it was stored; nothing else reads it"
)]
struct AskV1 {
    request: MessageId,
    calls: Vec<ApprovalCall>,
    card: SendId,
    until: Millis,
    #[serde(default)]
    found: bool,
    #[serde(default)]
    verdict: Option<ApprovalDecision>,
    /// Whether Letta has certainly not received the verdict.
    #[serde(default)]
    untold: bool,
    #[serde(default)]
    repeats: bool,
    #[serde(default)]
    forgotten: bool,
}

impl From<TurnV1> for TurnRecord {
    fn from(stored: TurnV1) -> Self {
        let card_of_segment = stored.id.segment(stored.chapter).approval_message();
        let state = match (stored.ask, stored.answer) {
            (None, None) => TurnState::Streaming { run: stored.run },
            (None, Some(answer)) => TurnState::Finishing {
                answer,
                decided: None,
            },
            (Some(ask), answer) => ask.into_state(&card_of_segment, answer, stored.run),
        };
        Self {
            id: stored.id,
            key: stored.key,
            prompts: stored.prompts,
            reactions: Vec::new(),
            is_external: stored.elsewhere,
            started_at: stored.started_at,
            spent: stored.spent,
            shown: ShownSegment {
                edits_reserved: stored.edits_reserved,
                status_edits_reserved: stored.status_edits_reserved,
                waiting: stored.waiting,
            },
            segment: stored.chapter,
            prompt_keys: stored.sent_in.unwrap_or(stored.chapter),
            state,
        }
    }
}

impl AskV1 {
    /// The state of a turn with this. Its card is that of the segment before until the segment of the verdict begins.
    fn into_state(
        self,
        card_of_segment: &SendId,
        answer: Option<Answer>,
        run: Option<RunId>,
    ) -> TurnState {
        let has_own_card = self.card == *card_of_segment;
        let delivery = match (self.forgotten, self.untold) {
            (true, untold) => Delivery::Forgotten { was_sent: !untold },
            (false, true) => Delivery::Undelivered,
            (false, false) => Delivery::Sent,
        };
        let approval = ApprovalRecord {
            request: self.request,
            calls: self.calls,
            approval_message: self.card,
            until: self.until,
            found: self.found,
            repeats: self.repeats,
        };
        let Some(decision) = self.verdict else {
            return match answer {
                Some(answer) => TurnState::Asking { answer, approval },
                None => TurnState::AwaitingDecision(approval),
            };
        };
        let decided = DecidedApproval { approval, decision };
        match answer {
            Some(answer) => TurnState::Finishing {
                answer,
                decided: Some(decided),
            },
            None if has_own_card => TurnState::Decided(decided),
            None => TurnState::Resuming {
                decided,
                delivery,
                run,
            },
        }
    }
}
