//! What waits for a person, and what became of a decision.
//!
//! V1 tells of a waiting request in two ways: an agent's entry holds that of its default
//! conversation, complete; for every other conversation only the history tells, where a request
//! waits as long as no response follows it. A response carries the run that goes on after it, so a
//! decision that arrived although its answer was lost is found there.
//!
//! V1 takes the same decision twice, and a contrary one after it, and runs the model again. So who decides looks first.

use serde_json::Value;

use super::{
    api::SharedApi,
    failure::RequestTarget,
    history, runs,
    wire::{ApprovalPart, Message, PendingEntry},
};
use crate::{
    backend::{ApprovalRequest, ApprovalStatus, Conversation, Destination, ToolCall},
    error::BackendError,
    json,
};

/// How far back a history is read for a request or its response, in stored messages. Nothing but
/// the turn that the response sets going can follow them.
const LOOK_BACK_MESSAGES: usize = 50;

/// What waits for a decision in a conversation.
pub(super) async fn pending_approval(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
) -> Result<Option<ApprovalRequest>, BackendError> {
    if conversations && to.conversation != Conversation::Default {
        let stored = history::newest_page(api, to, conversations, LOOK_BACK_MESSAGES).await?;
        return unanswered(stored);
    }
    let request = api
        .get(&["v1", "agents", to.agent.as_str()])
        .query(&[("include", "agent.pending_approval")]);
    let answer = api.call(request).await?;
    let entry: PendingEntry = answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Agent(&to.agent)))?
        .read()?;
    if entry.id.as_deref() != Some(to.agent.as_str()) {
        return Err(BackendError::unexpected_answer(
            "not the record of this agent",
        ));
    }
    match entry.pending_approval {
        Value::Null => Ok(None),
        waits => {
            let message = serde_json::from_value(waits).ok();
            let request = message.as_ref().and_then(request_of);
            request.ok_or_else(unreadable_request).map(Some)
        }
    }
}

/// Something waits, and it cannot be told what.
fn unreadable_request() -> BackendError {
    BackendError::unexpected_answer("a request for a decision that cannot be read")
}

/// What has become of a request, by what is stored and by what runs.
///
/// V1 stores a response when its tools have returned; until then only a run tells that there was one.
pub(super) async fn approval_status(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    request: &ApprovalRequest,
) -> Result<ApprovalStatus, BackendError> {
    let stored = history::newest_page(api, to, conversations, LOOK_BACK_MESSAGES).await?;
    if let Some(decided) = decided(&stored, request)? {
        return Ok(decided);
    }
    let asked = stored
        .iter()
        .rfind(|message| message.id.as_deref() == Some(request.id.as_str()));
    let since = asked.and_then(|message| message.date.as_deref());
    Ok(
        match runs::newest_active_run(api, to, conversations, since).await? {
            Some(run) => ApprovalStatus::Runs(run),
            None => ApprovalStatus::Waits,
        },
    )
}

/// The last response of a history that decides a call of the request.
fn decided(
    stored: &[Message],
    request: &ApprovalRequest,
) -> Result<Option<ApprovalStatus>, BackendError> {
    let is_about = |part: &ApprovalPart| {
        let id = part.tool_call_id.as_deref();
        request
            .calls
            .iter()
            .any(|call| Some(call.id.as_str()) == id)
    };
    let response = stored.iter().rev().find_map(|message| {
        if message.message_type.as_deref() != Some("approval_response_message") {
            return None;
        }
        let parts = message.approvals.as_deref().unwrap_or_default();
        parts.iter().any(is_about).then_some((message, parts))
    });
    let Some((message, parts)) = response else {
        return Ok(None);
    };
    if parts.iter().any(|part| part.approve.is_none()) {
        return Err(BackendError::unexpected_answer(
            "a decision that says neither",
        ));
    }
    Ok(Some(ApprovalStatus::Decided {
        approve: parts.iter().all(|part| part.approve == Some(true)),
        run: message.run_id.as_ref().and_then(|run| run.parse().ok()),
    }))
}

/// The last request of a history, oldest first, that no response follows.
fn unanswered(stored: Vec<Message>) -> Result<Option<ApprovalRequest>, BackendError> {
    let last = stored.into_iter().rfind(|message| {
        matches!(
            message.message_type.as_deref(),
            Some("approval_request_message" | "approval_response_message")
        )
    });
    let is_request =
        |message: &Message| message.message_type.as_deref() == Some("approval_request_message");
    match last.filter(is_request) {
        None => Ok(None),
        Some(message) => request_of(&message)
            .ok_or_else(unreadable_request)
            .map(Some),
    }
}

fn request_of(message: &Message) -> Option<ApprovalRequest> {
    if message.message_type.as_deref() != Some("approval_request_message") {
        return None;
    }
    let call = |part: super::wire::CallPart| {
        Some(ToolCall {
            id: part.tool_call_id?.parse().ok()?,
            name: json::join_surrogates(&part.name?),
            arguments: json::join_surrogates(&part.arguments.unwrap_or_default()),
        })
    };
    let calls: Vec<_> = message.calls().into_iter().filter_map(call).collect();
    let id = message.id.as_deref()?.parse().ok()?;
    (!calls.is_empty()).then_some(ApprovalRequest { id, calls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(calls: &[&str]) -> ApprovalRequest {
        ApprovalRequest {
            id: "message-1".parse().unwrap(),
            calls: calls
                .iter()
                .map(|id| ToolCall {
                    id: id.parse().unwrap(),
                    name: "launch".to_owned(),
                    arguments: "{}".to_owned(),
                })
                .collect(),
        }
    }

    /// As a V1 server stores them.
    fn response(call: &str, approve: bool) -> Message {
        let json = serde_json::json!({
            "id": "message-2", "message_type": "approval_response_message", "run_id": "run-2",
            "approvals": [{"type": "approval", "tool_call_id": call, "approve": approve, "reason": null}],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_request_is_decided_by_a_response_to_one_of_its_calls() {
        let stored = [response("call_a", true), response("call_b", false)];
        let run = Some("run-2".parse().unwrap());
        let expected = |approve| {
            Some(ApprovalStatus::Decided {
                approve,
                run: run.clone(),
            })
        };
        assert_eq!(
            decided(&stored, &request(&["call_a"])).unwrap(),
            expected(true)
        );
        assert_eq!(
            decided(&stored, &request(&["call_b"])).unwrap(),
            expected(false)
        );
        // V1 has kept the first of two calls only.
        assert_eq!(
            decided(&stored, &request(&["call_a", "call_x"])).unwrap(),
            expected(true)
        );
        assert_eq!(decided(&stored, &request(&["call_x"])).unwrap(), None);
    }
}
