//! What waits for a person, and what became of a decision.
//!
//! V1 tells of a waiting request in two ways: an agent's entry holds that of its default
//! conversation, complete; for every other conversation only the history tells, where a request
//! waits as long as no response follows it. A response carries the run that goes on after it, so a
//! decision that arrived although its answer was lost is found there.

use super::{
    api::SharedApi,
    failure::Asked,
    history,
    wire::{Message, PendingEntry},
};
use crate::{
    backend::{ApprovalRequest, Conversation, Decision, Destination, ToolCall},
    error::BackendError,
    id::RunId,
};

/// How far back a history is read for a request or its response, in stored messages. Nothing but
/// the turn that the response sets going can follow them.
const LOOK_BACK_MESSAGES: usize = 50;

/// What waits for a decision in a conversation.
pub(super) async fn pending(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
) -> Result<Option<ApprovalRequest>, BackendError> {
    if conversations && to.conversation != Conversation::Default {
        let stored = history::newest_page(api, to, conversations, LOOK_BACK_MESSAGES).await?;
        return Ok(unanswered(stored));
    }
    let request = api
        .get(&["v1", "agents", to.agent.as_str()])
        .query(&[("include", "agent.pending_approval")]);
    let answer = api.call(request).await?;
    let entry: PendingEntry = answer
        .map_err(|refusal| refusal.into_error(Asked::Agent(&to.agent)))?
        .json()?;
    Ok(entry.pending_approval.as_ref().and_then(request_of))
}

/// The run that went on after just these decisions, if the conversation knows them already.
pub(super) async fn run_after(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    decisions: &[Decision],
) -> Result<Option<RunId>, BackendError> {
    let stored = history::newest_page(api, to, conversations, LOOK_BACK_MESSAGES).await?;
    let response = stored
        .into_iter()
        .rfind(|message| decides(message, decisions));
    Ok(response
        .and_then(|message| message.run_id)
        .and_then(|run| run.parse().ok()))
}

/// The last request of a history, oldest first, that no response follows.
fn unanswered(stored: Vec<Message>) -> Option<ApprovalRequest> {
    let last = stored.into_iter().rfind(|message| {
        matches!(
            message.message_type.as_deref(),
            Some("approval_request_message" | "approval_response_message")
        )
    });
    // A response has no calls.
    last.as_ref().and_then(request_of)
}

fn request_of(message: &Message) -> Option<ApprovalRequest> {
    if message.message_type.as_deref() != Some("approval_request_message") {
        return None;
    }
    let call = |part: super::wire::CallPart| {
        Some(ToolCall {
            id: part.tool_call_id?.parse().ok()?,
            name: part.name?,
            arguments: part.arguments.unwrap_or_default(),
        })
    };
    let calls: Vec<_> = message.calls().into_iter().filter_map(call).collect();
    let id = message.id.as_deref()?.parse().ok()?;
    (!calls.is_empty()).then_some(ApprovalRequest { id, calls })
}

/// Whether a message is the response that decides exactly these calls in exactly this way.
fn decides(message: &Message, decisions: &[Decision]) -> bool {
    if message.message_type.as_deref() != Some("approval_response_message") {
        return false;
    }
    let stored = message.approvals.as_deref().unwrap_or_default();
    stored.len() == decisions.len()
        && decisions.iter().all(|decision| {
            stored.iter().any(|one| {
                one.tool_call_id.as_deref() == Some(decision.call.as_str())
                    && one.approve == Some(decision.approve)
            })
        })
}
