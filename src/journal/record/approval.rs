//! What a turn asks of a person, and what was decided: written down before anybody is asked and
//! before anything is done about it.

use letta_client::{ApprovalRequest, Decision, MessageId, RunId, ToolCall, ToolCallId};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::SendId;
use crate::time::Millis;

/// Tool calls of a turn that run only if a person says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that an older record lacks; none follows from another"
)]
pub struct ApprovalRecord {
    /// Letta's message that asks.
    pub request: MessageId,
    /// All the calls; they are decided together.
    pub calls: Vec<ApprovalCall>,
    /// The id under which the room is asked.
    #[serde(rename = "card")]
    pub approval_message: SendId,
    /// From when on nobody's answer is waited for any more.
    pub until: Millis,
    /// Whether it was found waiting: nobody knows who set it going, and it is no part of the answer
    /// to the turn's prompts.
    #[serde(default)]
    pub found: bool,
    /// What was decided, once it is.
    #[serde(default)]
    #[serde(rename = "verdict")]
    pub decision: Option<ApprovalDecision>,
    /// Whether Letta has certainly not heard yet what was decided.
    #[serde(default)]
    #[serde(rename = "untold")]
    pub undelivered: bool,
    /// Whether the very same was approved before Letta forgot it, so that it may have run already.
    #[serde(default)]
    pub repeats: bool,
    /// Whether Letta has forgotten that it asked: what it asks now comes from the turn's prompts anew.
    #[serde(default)]
    pub forgotten: bool,
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
    Elsewhere(RunId),
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
            decision: None,
            undelivered: true,
            repeats: false,
            forgotten: false,
        }
    }

    /// The same, as what Letta asks now, if nobody needs to be asked about that: who has stopped the
    /// turn, or has decided on the very same calls when Letta had forgotten them and heard nothing.
    pub fn renewed(&self, request: &ApprovalRequest) -> Option<Self> {
        let stands =
            self.decision.is_some() && self.undelivered && self.has_same_tool_calls(request);
        (stands || self.is_stopped()).then(|| Self {
            found: self.found,
            repeats: self.repeats,
            decision: self.decision.clone(),
            ..Self::new(request, self.approval_message.clone(), self.until)
        })
    }

    /// Whether Letta asks again, and may have let it run already.
    pub fn may_have_run(&self, request: &ApprovalRequest) -> bool {
        let approved = self.decision.as_ref().is_some_and(|said| said.approve);
        self.forgotten && approved && !self.undelivered && self.has_same_tool_calls(request)
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

    /// A decision as Letta takes it: one decision for each call.
    pub fn decisions(&self, decision: &ApprovalDecision) -> Vec<Decision> {
        let decision = |call: &ApprovalCall| Decision {
            call: call.id.clone(),
            approve: decision.approve,
            reason: decision.reason.clone(),
        };
        self.calls.iter().map(decision).collect()
    }

    /// Whether the turn was stopped while it waited.
    pub fn is_stopped(&self) -> bool {
        matches!(
            &self.decision,
            Some(ApprovalDecision {
                by: DecidedBy::Stop(_),
                ..
            })
        )
    }
}
