//! What a turn asks of a person, and what was decided: written down before anybody is asked and
//! before anything is done about it.

use letta_client::{ApprovalRequest, Decision, MessageId, RunId, ToolCall, ToolCallId};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::SendId;
use crate::time::Millis;

/// Tool calls of a turn that run only if a person says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Letta's message that asks.
    pub request: MessageId,
    /// All the calls; they are decided together.
    pub calls: Vec<ApprovalCall>,
    /// The id under which the room is asked.
    pub approval_message: SendId,
    /// From when on nobody's answer is waited for any more.
    pub until: Millis,
    /// Whether it was found waiting: nobody knows who set it going, and it is no part of the answer
    /// to the turn's prompts.
    pub found: bool,
    /// Whether the very same was approved before Letta forgot it, so that it may have run already.
    pub repeats: bool,
}

/// One call that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalCall {
    /// Its id.
    pub id: ToolCallId,
    /// The tool.
    pub tool: String,
    /// The arguments as the model wrote them.
    pub arguments: String,
}

/// What was decided on all calls of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// Whether they may run.
    pub approve: bool,
    /// Why not, for the agent.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who decided.
    pub by: DecidedBy,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecidedBy {
    /// A person, for this request.
    Person(OwnedUserId),
    /// A person, who stopped the turn.
    Stop(OwnedUserId),
    /// An admin, who has allowed these tools of the agent for good.
    Rule,
    /// Nobody, in time.
    Timeout,
    /// Somebody outside of Matrix; or Letta has begun the turn anew. This run goes on.
    #[serde(rename = "Elsewhere")]
    External(RunId),
}

/// An approval request with what was decided on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedApproval {
    /// What was asked.
    pub approval: ApprovalRecord,
    /// What was decided.
    pub decision: ApprovalDecision,
}

impl ApprovalDecision {
    /// Somebody has stopped the turn that waits.
    pub fn stopped(by: OwnedUserId) -> Self {
        Self {
            approve: false,
            reason: Some("A person has stopped you.".to_owned()),
            by: DecidedBy::Stop(by),
        }
    }

    /// An admin allows the tools always.
    pub fn allowed() -> Self {
        Self {
            approve: true,
            reason: None,
            by: DecidedBy::Rule,
        }
    }
}

impl ApprovalRecord {
    /// What Letta asks, to be asked as `approval_message`.
    pub fn new(request: &ApprovalRequest, approval_message: SendId, until: Millis) -> Self {
        let call = |call: &ToolCall| ApprovalCall {
            id: call.id.clone(),
            tool: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        Self {
            request: request.id.clone(),
            calls: request.calls.iter().map(call).collect(),
            approval_message,
            until,
            found: false,
            repeats: false,
        }
    }

    /// Whether a request is about the very same calls, whatever their ids.
    pub fn has_same_tool_calls(&self, request: &ApprovalRequest) -> bool {
        let asked = self.calls.iter().map(|call| (&call.tool, &call.arguments));
        let now = request.calls.iter();
        asked.eq(now.map(|call| (&call.name, &call.arguments)))
    }

    /// Letta's request again.
    pub fn request(&self) -> ApprovalRequest {
        let call = |call: &ApprovalCall| ToolCall {
            id: call.id.clone(),
            name: call.tool.clone(),
            arguments: call.arguments.clone(),
        };
        ApprovalRequest {
            id: self.request.clone(),
            calls: self.calls.iter().map(call).collect(),
        }
    }
}

impl DecidedApproval {
    /// The same decision on what Letta asks now.
    #[must_use]
    pub fn renewed(self, request: &ApprovalRequest) -> Self {
        let Self { approval, decision } = self;
        let renewed = ApprovalRecord::new(request, approval.approval_message, approval.until);
        Self {
            approval: ApprovalRecord {
                found: approval.found,
                repeats: approval.repeats,
                ..renewed
            },
            decision,
        }
    }

    /// The decision as Letta takes it: one decision for each call.
    pub fn decisions(&self) -> Vec<Decision> {
        let decision = |call: &ApprovalCall| Decision {
            call: call.id.clone(),
            approve: self.decision.approve,
            reason: self.decision.reason.clone(),
        };
        self.approval.calls.iter().map(decision).collect()
    }

    /// Whether the turn was stopped while it waited.
    pub fn is_stopped(&self) -> bool {
        matches!(self.decision.by, DecidedBy::Stop(_))
    }

    /// The run that goes on because of it, if it was decided outside of Matrix.
    pub fn external_run(&self) -> Option<&RunId> {
        match &self.decision.by {
            DecidedBy::External(run) => Some(run),
            _ => None,
        }
    }

    /// Whether the turn came past it on its way, and still has prompts of its own to answer, if it has any.
    pub fn is_detour(&self) -> bool {
        self.approval.found && !self.is_stopped()
    }
}
