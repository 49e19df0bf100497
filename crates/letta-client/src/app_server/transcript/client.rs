//! What the client of a transcript has sent, as far as a bridge sends it too.

use serde::Deserialize;
use serde_json::Value;

use crate::{app_server::wire::Scope, backend::Prompt, error::BackendError};

/// A frame of the client.
pub(super) enum ClientFrame {
    /// `runtime_start` of a known conversation.
    Start(Scope),
    /// Prompts, each with its key.
    Prompts(Scope, Vec<Prompt>),
    /// A decision on a request.
    Decision {
        at: Scope,
        request: String,
        approve: bool,
        reason: Option<String>,
    },
    Abort(Scope),
    /// A request about one agent or all of them.
    Agents,
    /// What no bridge sends: prompts without a key among others.
    Other,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    runtime: Option<Scope>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    conversation_id: Option<String>,
    #[serde(default)]
    payload: Value,
}

/// Reads a frame; with it comes the id that its answer names.
pub(super) fn read(text: &str) -> Result<(String, ClientFrame), BackendError> {
    let frame: Frame = serde_json::from_str(text).map_err(|error| BackendError::Protocol {
        detail: format!("a frame of the client is not understood: {error}"),
    })?;
    let id = frame.request_id.clone().unwrap_or_default();
    let sent = match (frame.kind.as_deref(), frame.runtime) {
        (Some("runtime_start"), _) => match (frame.agent_id, frame.conversation_id) {
            (Some(agent_id), Some(conversation_id)) => ClientFrame::Start(Scope {
                agent_id,
                conversation_id,
            }),
            _ => ClientFrame::Other,
        },
        (Some("abort_message"), Some(at)) => ClientFrame::Abort(at),
        (Some("agent_list" | "agent_retrieve"), _) => ClientFrame::Agents,
        (Some("input"), Some(at)) => input(at, &frame.payload),
        _ => ClientFrame::Other,
    };
    Ok((id, sent))
}

fn input(at: Scope, payload: &Value) -> ClientFrame {
    match payload["kind"].as_str() {
        Some("create_message") => {
            let messages = payload["messages"].as_array();
            let prompts: Vec<_> = messages.into_iter().flatten().filter_map(prompt).collect();
            if prompts.is_empty() {
                ClientFrame::Other
            } else {
                ClientFrame::Prompts(at, prompts)
            }
        }
        Some("approval_response") => {
            let decision = &payload["decision"];
            ClientFrame::Decision {
                at,
                request: payload["request_id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                approve: decision["behavior"] == "allow",
                reason: decision["message"].as_str().map(str::to_owned),
            }
        }
        _ => ClientFrame::Other,
    }
}

fn prompt(message: &Value) -> Option<Prompt> {
    let key = message["client_message_id"].as_str()?.to_owned();
    let content = &message["content"];
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part["text"].as_str());
    let text = match content.as_str() {
        Some(text) => text.to_owned(),
        None => texts.collect::<Vec<_>>().join("\n"),
    };
    Some(Prompt::new(key, text))
}
