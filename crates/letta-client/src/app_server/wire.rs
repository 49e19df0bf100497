//! Frames of the App Server, read leniently.
//!
//! A frame is first looked at from the outside (its type, whom it answers, which conversation it
//! is of), and its inside is read only if it is of use: most of the bytes are device states that
//! nobody here asked for.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    backend::{Conversation, Destination, TurnFailure},
    error::BackendError,
    failure::FailureKind,
    json,
    rest::{
        decoder,
        wire::{AgentEntry, Message, lenient},
    },
};

mod retry;

pub(super) use retry::Retry;
use retry::ServerEvent;

/// What the App Server calls an agent's default conversation.
const DEFAULT: &str = "default";

/// A conversation of an agent, as every event names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Scope {
    pub(super) agent_id: String,
    pub(super) conversation_id: String,
}

impl Scope {
    pub(super) fn of(to: &Destination) -> Self {
        Self {
            agent_id: to.agent.to_string(),
            conversation_id: match &to.conversation {
                Conversation::Default => DEFAULT.to_owned(),
                Conversation::Own(id) => id.to_string(),
            },
        }
    }

    /// The same in our own words; `None` if the ids are none.
    pub(super) fn destination(&self) -> Option<Destination> {
        let conversation = match self.conversation_id.as_str() {
            DEFAULT => Conversation::Default,
            id => Conversation::Own(id.parse().ok()?),
        };
        Some(Destination {
            agent: self.agent_id.parse().ok()?,
            conversation,
        })
    }
}

/// A frame from the server.
#[derive(Debug)]
pub(super) enum Inbound {
    /// The answer to a request, not read yet.
    Response { id: String, body: Utf8Bytes },
    /// Something happened in a conversation.
    ConversationEvent(Scope, ConversationEvent),
}

/// What happens in a conversation.
#[derive(Clone, Debug)]
pub(super) enum ConversationEvent {
    Loop(LoopStatus),
    Queue(QueueUpdate),
    Delta(Box<Delta>),
    Finished(TurnFinished),
    Control(ControlRequest),
    /// The permission mode that the conversation has now.
    Mode(String),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    runtime: Option<Scope>,
}

/// What the agent of a conversation is doing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoopStatus {
    #[serde(deserialize_with = "lenient")]
    status: Option<String>,
    /// Which inputs each of the last runs answers. Forgotten when the server ends.
    #[serde(deserialize_with = "lenient")]
    pub(super) client_message_ids_by_run_id: Option<HashMap<String, Vec<String>>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) active_run_ids: Option<Vec<String>>,
}

impl LoopStatus {
    pub(super) fn is_idle(&self) -> bool {
        self.status.as_deref() == Some("WAITING_ON_INPUT")
    }
}

/// All inputs that wait for the running turn to end, and those that no longer do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QueueUpdate {
    #[serde(deserialize_with = "lenient")]
    pub(super) queue: Option<Vec<Queued>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) removed: Option<Vec<Removed>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queued {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) client_message_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) paused: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Removed {
    #[serde(deserialize_with = "lenient")]
    pub(super) client_message_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) disposition: Option<String>,
}

/// Something new in a turn. Two sockets bring it with the same bytes, so `fingerprint` tells whether it
/// was seen before.
#[derive(Clone, Debug)]
pub(super) struct Delta {
    pub(super) fingerprint: u64,
    pub(super) message: Message,
    pub(super) failure: LoopError,
    pub(super) retry: Option<Retry>,
}

/// What a `loop_error` or an `error_message` has beside a message's fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoopError {
    #[serde(deserialize_with = "lenient")]
    pub(super) client_message_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient")]
    api_error: Option<ApiError>,
    #[serde(deserialize_with = "lenient")]
    retryable: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    status: Option<u16>,
}

/// What the model provider said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ApiError {
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    detail: Option<String>,
    #[serde(deserialize_with = "lenient")]
    error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    status: Option<u16>,
}

impl LoopError {
    /// An `error_message`.
    pub(super) fn reported(&self, message: &Message) -> TurnFailure {
        let word = message.error_type.as_deref().unwrap_or("error");
        let words = message.message.as_deref().unwrap_or_default();
        let mut failure = decoder::failure(word, words);
        failure.kind = self.kind(word, words);
        failure
    }

    /// A `loop_error`. Its own message is JSON for a terminal; the provider's words are inside.
    pub(super) fn stopped(&self, message: &Message) -> TurnFailure {
        let word = message.stop_reason.as_deref().unwrap_or("error");
        let said = self.api_error.as_ref();
        let inside = said.and_then(|error| error.message.as_deref());
        let words = inside.or(message.message.as_deref()).unwrap_or_default();
        let mut failure = decoder::failure(word, words);
        failure.kind = self.kind(word, words);
        failure
    }

    /// What the most telling of several words means.
    fn kind(&self, word: &str, words: &str) -> FailureKind {
        let said = self.api_error.as_ref();
        let status = said.and_then(|error| error.status).or(self.status);
        let detail = said.and_then(|error| error.detail.as_deref());
        let inner = said.and_then(|error| error.error_type.as_deref());
        let readings = [
            (Some(word), Some(words)),
            (inner, Some(words)),
            (inner, detail),
        ];
        let readings = readings
            .into_iter()
            .filter_map(|(word, words)| Some((word?, words?)));
        let mut kinds = readings.map(|(word, words)| FailureKind::of_stream(word, words, status));
        let unspecific =
            |kind: &FailureKind| matches!(kind, FailureKind::Broken | FailureKind::Refused);
        let first = kinds.next().unwrap_or(FailureKind::Broken);
        let kind = if unspecific(&first) {
            kinds.find(|kind| !unspecific(kind)).unwrap_or(first)
        } else {
            first
        };
        match (kind, self.retryable) {
            (FailureKind::Refused, Some(true)) => FailureKind::Broken,
            (FailureKind::Broken, Some(false)) => FailureKind::Refused,
            (kind, _) => kind,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnFinished {
    #[serde(deserialize_with = "lenient")]
    pub(super) turn_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) stop_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
}

/// A tool call that waits for a person.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ControlRequest {
    pub(super) request_id: String,
    pub(super) request: Permission,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Permission {
    pub(super) tool_name: String,
    pub(super) tool_call_id: String,
    #[serde(default)]
    pub(super) input: Option<Box<RawValue>>,
}

/// Reads a frame. `None`: it is of no use here, or not understood.
pub(super) fn read(text: Utf8Bytes) -> Option<Inbound> {
    let head: Head<'_> = match serde_json::from_str(&text) {
        Ok(head) => head,
        Err(error) => {
            tracing::debug!(%error, "could not parse a frame of the App Server");
            return None;
        }
    };
    let event = match (head.kind, head.runtime) {
        ("control_request", Some(scope)) => (scope, ConversationEvent::Control(inside(&text)?)),
        ("update_loop_status", Some(scope)) => (scope, loop_status(&text)?),
        ("update_queue", Some(scope)) => (scope, ConversationEvent::Queue(inside(&text)?)),
        ("update_device_status", Some(scope)) => (scope, mode(&text)?),
        ("stream_delta", Some(scope)) => (scope, delta(&text)?),
        ("turn_finished", Some(scope)) => (scope, ConversationEvent::Finished(inside(&text)?)),
        (kind, _) if kind.ends_with("_response") || kind == "input_accepted" => {
            let id = head.request_id?;
            return Some(Inbound::Response { id, body: text });
        }
        _ => return None,
    };
    Some(Inbound::ConversationEvent(event.0, event.1))
}

fn inside<T: DeserializeOwned>(text: &str) -> Option<T> {
    json::read(text)
        .inspect_err(|error| tracing::debug!(%error, "could not parse an event of the App Server"))
        .ok()
}

fn loop_status(text: &str) -> Option<ConversationEvent> {
    #[derive(Deserialize)]
    struct Update {
        loop_status: LoopStatus,
    }
    inside::<Update>(text).map(|update| ConversationEvent::Loop(update.loop_status))
}

fn mode(text: &str) -> Option<ConversationEvent> {
    #[derive(Deserialize)]
    struct Update {
        device_status: Device,
    }
    #[derive(Deserialize)]
    struct Device {
        current_permission_mode: String,
    }
    // Older servers do not tell, and other updates of this type hold other parts.
    let update: Update = json::read(text).ok()?;
    Some(ConversationEvent::Mode(
        update.device_status.current_permission_mode,
    ))
}

fn delta(text: &str) -> Option<ConversationEvent> {
    #[derive(Deserialize)]
    struct Update<'a> {
        #[serde(borrow)]
        delta: &'a RawValue,
    }
    let update: Update<'_> = serde_json::from_str(text).ok()?;
    let raw = update.delta.get();
    let message: Message = inside(raw)?;
    let failure = match message.message_type.as_deref() {
        Some("loop_error" | "error_message") => inside(raw)?,
        _ => LoopError::default(),
    };
    let retry = match message.message_type.as_deref() {
        Some("retry") => Some(inside(raw)?),
        Some("event_message") => inside::<ServerEvent>(raw)?.retry(),
        _ => None,
    };
    let mut hasher = DefaultHasher::new();
    raw.hash(&mut hasher);
    Some(ConversationEvent::Delta(Box::new(Delta {
        fingerprint: hasher.finish(),
        message,
        failure,
        retry,
    })))
}

/// The inside of an answer, whatever was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseBody {
    #[serde(deserialize_with = "lenient")]
    pub(super) success: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) accepted: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) disposition: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) aborted: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) agents: Option<Vec<AgentEntry>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) agent: Option<AgentEntry>,
    #[serde(deserialize_with = "lenient")]
    pub(super) conversation: Option<ConversationEntry>,
    #[serde(deserialize_with = "lenient")]
    pub(super) messages: Option<Vec<Message>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) next_before: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) has_more: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConversationEntry {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
}

impl ResponseBody {
    pub(super) fn read(body: &str) -> Result<Self, BackendError> {
        json::read(body).map_err(|error| BackendError::Protocol {
            detail: format!("unexpected JSON: {error}"),
        })
    }

    /// The stored messages that were asked for.
    pub(super) fn take_messages(&mut self) -> Result<Vec<Message>, BackendError> {
        let messages = self.messages.take();
        messages
            .ok_or_else(|| BackendError::unexpected_answer("a list of messages without messages"))
    }

    /// Whether the server did what it was asked to.
    pub(super) fn is_ok(&self) -> bool {
        self.accepted.or(self.success) != Some(false)
    }
}

/// `GET /app-server-info`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerInfo {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) letta_code_version: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) protocol_version: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) capabilities: Option<HashMap<String, serde_json::Value>>,
}
