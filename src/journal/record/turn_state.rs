//! The states of a turn, and how one follows from another: the whole machine, pure.
//!
//! ```text
//!   prompts of the queue,                                a request that waits
//!   or an external turn                                  in Letta already
//!          │                                                     │
//!          v                        ask                          v
//!   ┌─> Streaming ──────────────────────────────────────────> Asking ───────────┐
//!   │      │                             ┌───────────────────>   │              │
//!   │      │                             │                       │ await_decision
//!   │      │                             │                       v              │
//!   │      │                             │               AwaitingDecision       │ allow
//!   │      │                             │                       │ decide       │
//!   │      │                             │ ask                   v              │
//!   │      │                             │                    Decided           │
//!   │      │                             │                       │ resume       │
//!   │      │ finish                      │                       v              │
//!   │      │                             └──────────────────  Resuming <────────┘
//!   │      v                finish                               │
//!   │  Finishing <───────────────────────────────────────────────┘
//!   │      │  └───> the end: the last messages enter the outbox, the record is removed
//!   └──────┘ start_prompts: what was found is decided, now for what the turn is about
//! ```
//!
//! - `Streaming` and `Resuming` ask Letta; entering one of them begins a *segment* of the turn, with messages of its own. Within
//!   them a run is named and lost ([`start_run`](TurnState::start_run), [`lose_run`](TurnState::lose_run)), and in `Resuming` it
//!   is kept whether Letta has received the decision ([`Delivery`]).
//! - `Asking` and `Finishing` have something to say: it enters the outbox in the same commit in which the state is left.
//! - `AwaitingDecision` belongs to whoever brings a decision, every other state to the worker of the conversation.
//! - Any state can be the last: a turn that is set aside or whose answer is redacted ends where it is.
//!
//! Promises: a transition consumes the state and answers the next one, or refuses ([`IllegalTransition`]); a decision is taken
//! once; Letta receives a decision in `Resuming` only, so after it was written down and the approval message says it.

use letta_client::{ApprovalRequest, RunId};
use serde::{Deserialize, Serialize};

use super::{
    Answer,
    approval::{ApprovalDecision, ApprovalRecord, DecidedApproval, DecidedBy},
};

/// What a turn does now. See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Letta is sent the prompts, or streams an external turn.
    Streaming {
        /// Letta's run, once known.
        run: Option<RunId>,
    },
    /// A segment has ended with tool calls that need a decision, and its last messages and the question are to be sent.
    Asking {
        /// What there is to say first.
        answer: Answer,
        /// What a person is asked.
        approval: ApprovalRecord,
    },
    /// A person is asked.
    AwaitingDecision(ApprovalRecord),
    /// Somebody has decided, and the approval message does not say so yet.
    Decided(DecidedApproval),
    /// Letta is sent the decision, and streams what follows from it.
    Resuming {
        /// What the segment follows from.
        decided: DecidedApproval,
        /// Whether Letta has received it.
        delivery: Delivery,
        /// Letta's run, once known.
        run: Option<RunId>,
    },
    /// The answer is complete, and its last messages are to be sent.
    Finishing {
        /// What there is to say.
        answer: Answer,
        /// What was decided last, if anything was.
        decided: Option<DecidedApproval>,
    },
}

/// Whether Letta has received a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It certainly has not.
    Undelivered,
    /// It may have.
    Sent,
    /// It has forgotten that it asked, so the prompts are sent again: what it asks now comes from them anew.
    Forgotten {
        /// Whether it may have received the decision before.
        was_sent: bool,
    },
}

impl Delivery {
    fn of(is_sent: bool, is_forgotten: bool) -> Self {
        match (is_forgotten, is_sent) {
            (true, was_sent) => Self::Forgotten { was_sent },
            (false, true) => Self::Sent,
            (false, false) => Self::Undelivered,
        }
    }

    /// Whether Letta may have received the decision.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::Forgotten { was_sent: true })
    }
}

/// A turn was asked to do what its state does not allow. It stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal transition of a turn: {transition} while {state}")]
pub struct IllegalTransition {
    /// The state, by name.
    pub state: &'static str,
    /// The transition, by name.
    pub transition: &'static str,
}

type Next = Result<TurnState, IllegalTransition>;

/// Transitions while Letta is asked.
impl TurnState {
    /// Letta answers in this run.
    pub fn start_run(mut self, run: RunId) -> Next {
        match &mut self {
            Self::Streaming { run: known } | Self::Resuming { run: known, .. } => {
                *known = Some(run);
                Ok(self)
            }
            _ => Err(self.refuse("start_run")),
        }
    }

    /// The run is gone, or of no use any more: what is asked next begins another one.
    pub fn lose_run(mut self) -> Next {
        match &mut self {
            Self::Streaming { run } | Self::Resuming { run, .. } => {
                *run = None;
                Ok(self)
            }
            _ => Err(self.refuse("lose_run")),
        }
    }

    /// The segment ends with tool calls that need a decision.
    pub fn ask(self, answer: Answer, approval: ApprovalRecord) -> Next {
        match self {
            Self::Streaming { .. } | Self::Resuming { .. } => Ok(Self::Asking { answer, approval }),
            _ => Err(self.refuse("ask")),
        }
    }

    /// The segment is the last one; or the last about a request that was found.
    pub fn finish(self, answer: Answer) -> Next {
        let decided = match self {
            Self::Streaming { .. } => None,
            Self::Resuming { decided, .. } => Some(decided),
            _ => return Err(self.refuse("finish")),
        };
        Ok(Self::Finishing { answer, decided })
    }

    /// Letta is about to be sent the decision. Written down before it is.
    pub fn send_decision(self) -> Next {
        self.deliver("send_decision", |_| Delivery::Sent)
    }

    /// Letta has certainly not received the decision: it has said so.
    pub fn decision_not_received(self) -> Next {
        self.deliver("decision_not_received", |_| Delivery::Undelivered)
    }

    /// Nothing waits in Letta for the decision; `is_forgotten`: because Letta does not know any more that it asked.
    pub fn nothing_waits(self, is_forgotten: bool) -> Next {
        self.deliver("nothing_waits", |delivery| {
            Delivery::of(delivery.is_sent(), is_forgotten)
        })
    }

    fn deliver(
        mut self,
        transition: &'static str,
        change: impl FnOnce(Delivery) -> Delivery,
    ) -> Next {
        match &mut self {
            Self::Resuming { delivery, .. } => {
                *delivery = change(*delivery);
                Ok(self)
            }
            _ => Err(self.refuse(transition)),
        }
    }

    /// Letta has a decision that was taken outside of Matrix: its run is followed instead. See [`DecidedBy::External`].
    pub fn follow_external(mut self, decision: ApprovalDecision) -> Next {
        match (&mut self, &decision.by) {
            (
                Self::Resuming {
                    decided,
                    delivery,
                    run,
                },
                DecidedBy::External(external),
            ) => {
                *run = Some(external.clone());
                *delivery = Delivery::of(true, matches!(delivery, Delivery::Forgotten { .. }));
                decided.decision = decision;
                Ok(self)
            }
            _ => Err(self.refuse("follow_external")),
        }
    }

    /// Letta asks again what need not be asked a person again, see [`TurnState::still_decides`]: the decision is sent once more.
    pub fn renew(self, request: &ApprovalRequest) -> Next {
        if !self.still_decides(request) {
            return Err(self.refuse("renew"));
        }
        match self {
            Self::Resuming { decided, .. } => Ok(Self::Resuming {
                decided: decided.renewed(request),
                delivery: Delivery::Undelivered,
                run: None,
            }),
            _ => Err(self.refuse("renew")),
        }
    }
}

/// Transitions between the segments.
impl TurnState {
    /// The question is in the outbox, after the last messages of the segment.
    pub fn await_decision(self) -> Next {
        match self {
            Self::Asking { approval, .. } => Ok(Self::AwaitingDecision(approval)),
            _ => Err(self.refuse("await_decision")),
        }
    }

    /// Nobody needs to be asked: an admin allows these tools always. What may have run already is for a person to decide.
    pub fn allow(self) -> Next {
        match self {
            Self::Asking { approval, .. } if !approval.repeats => Ok(Self::Resuming {
                decided: DecidedApproval {
                    approval,
                    decision: ApprovalDecision::allowed(),
                },
                delivery: Delivery::Undelivered,
                run: None,
            }),
            _ => Err(self.refuse("allow")),
        }
    }

    /// Somebody decides, or nobody has in time. Only the first decision counts.
    pub fn decide(self, decision: ApprovalDecision) -> Next {
        match self {
            Self::AwaitingDecision(approval) => {
                Ok(Self::Decided(DecidedApproval { approval, decision }))
            }
            _ => Err(self.refuse("decide")),
        }
    }

    /// Before the approval message says so: somebody was first outside of Matrix, or stops the turn.
    pub fn replace_decision(self, decision: ApprovalDecision) -> Next {
        match self {
            Self::Decided(DecidedApproval { approval, .. }) => {
                Ok(Self::Decided(DecidedApproval { approval, decision }))
            }
            _ => Err(self.refuse("replace_decision")),
        }
    }

    /// The approval message says what was decided: it goes on from that.
    pub fn resume(self) -> Next {
        match self {
            Self::Decided(decided) => {
                let run = decided.external_run().cloned();
                Ok(Self::Resuming {
                    delivery: Delivery::of(run.is_some(), false),
                    decided,
                    run,
                })
            }
            _ => Err(self.refuse("resume")),
        }
    }

    /// What was found is done with: now the prompts are sent.
    pub fn start_prompts(self) -> Next {
        match self {
            Self::Finishing {
                decided: Some(decided),
                ..
            } if decided.is_detour() => Ok(Self::Streaming { run: None }),
            _ => Err(self.refuse("start_prompts")),
        }
    }

    fn refuse(&self, transition: &'static str) -> IllegalTransition {
        IllegalTransition {
            state: self.name(),
            transition,
        }
    }
}

/// What is asked of a state.
impl TurnState {
    /// The state's name, for logs and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Streaming { .. } => "streaming",
            Self::Asking { .. } => "asking",
            Self::AwaitingDecision(_) => "awaiting a decision",
            Self::Decided(_) => "decided",
            Self::Resuming { .. } => "resuming",
            Self::Finishing { .. } => "finishing",
        }
    }

    /// Whether Letta is asked in this state: its segment has not ended yet.
    pub fn asks_letta(&self) -> bool {
        matches!(self, Self::Streaming { .. } | Self::Resuming { .. })
    }

    /// Letta's run, if it is known and still of use.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Streaming { run } | Self::Resuming { run, .. } => run.as_ref(),
            _ => None,
        }
    }

    /// What there is to say at the end of the segment.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Asking { answer, .. } | Self::Finishing { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// What a person is or was asked last.
    pub fn approval(&self) -> Option<&ApprovalRecord> {
        match self {
            Self::Asking { approval, .. } | Self::AwaitingDecision(approval) => Some(approval),
            _ => self.decided().map(|decided| &decided.approval),
        }
    }

    /// What a person is asked, while nobody has decided.
    pub fn awaits(&self) -> Option<&ApprovalRecord> {
        match self {
            Self::AwaitingDecision(approval) => Some(approval),
            _ => None,
        }
    }

    /// What was decided last, and the turn goes on or has gone on from.
    pub fn decided(&self) -> Option<&DecidedApproval> {
        match self {
            Self::Decided(decided) | Self::Resuming { decided, .. } => Some(decided),
            Self::Finishing { decided, .. } => decided.as_ref(),
            Self::Streaming { .. } | Self::Asking { .. } | Self::AwaitingDecision(_) => None,
        }
    }

    /// Whether a person has stopped the turn while it waited for a decision.
    pub fn is_stopped(&self) -> bool {
        self.decided().is_some_and(DecidedApproval::is_stopped)
    }

    /// Whether nobody needs to be asked about what Letta asks now: somebody has stopped the turn, or has decided on the very same
    /// calls and Letta has certainly not received it.
    pub fn still_decides(&self, request: &ApprovalRequest) -> bool {
        match self {
            Self::Resuming {
                decided, delivery, ..
            } => {
                let stands = !delivery.is_sent() && decided.approval.has_same_tool_calls(request);
                stands || decided.is_stopped()
            }
            _ => false,
        }
    }

    /// Whether Letta asks again, after it had forgotten that it asked, what it may have let run already.
    pub fn may_have_run(&self, request: &ApprovalRequest) -> bool {
        match self {
            Self::Resuming {
                decided,
                delivery: Delivery::Forgotten { was_sent: true },
                ..
            } => decided.decision.approve && decided.approval.has_same_tool_calls(request),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
