//! JSON as Letta writes it, read leniently: a key that is missing, new, or of another shape than
//! expected costs what it would have said, never the message it stands in.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::Value;

use crate::{error::BackendError, id::ConversationId, json};

/// Takes what fits and leaves the rest.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// An empty JSON object.
#[derive(Debug, Serialize)]
pub(crate) struct Nothing {}

/// `GET /v1/health/`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    #[serde(deserialize_with = "lenient")]
    pub(crate) version: Option<String>,
}

/// A conversation that was made.
#[derive(Debug, Deserialize)]
pub(crate) struct Created {
    pub(crate) id: ConversationId,
}

/// An entry of the list of agents.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AgentEntry {
    #[serde(deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) description: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) tags: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) agent_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) llm_config: Option<LlmConfig>,
}

/// What names the model where `model` does not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LlmConfig {
    #[serde(deserialize_with = "lenient")]
    pub(crate) handle: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) model: Option<String>,
}

/// `GET /v1/runs/{id}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunEntry {
    #[serde(deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) conversation_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) created_at: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) stop_reason: Option<String>,
}

impl RunEntry {
    /// Whether the run is over; an error if its record does not say so.
    pub(crate) fn has_ended(&self) -> Result<bool, BackendError> {
        match self.status.as_deref() {
            Some("created" | "running") => Ok(false),
            Some("completed" | "failed" | "cancelled") => Ok(true),
            // A word of the future: only a reason to have stopped tells that it has.
            Some(_) if self.stop_reason.is_some() => Ok(true),
            Some(word) => Err(BackendError::unexpected_answer(format!(
                "a run that is {word:?}"
            ))),
            None => Err(BackendError::unexpected_answer("a run without a status")),
        }
    }
}

/// A message: a frame of a stream or an entry of a history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are named as in Letta's JSON"
)]
pub(crate) struct Message {
    #[serde(deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) message_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) date: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) otid: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) seq_id: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) content: Option<Content>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) reasoning: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) hidden_reasoning: Option<String>,
    #[serde(deserialize_with = "lenient")]
    tool_call: Option<CallPart>,
    #[serde(deserialize_with = "lenient")]
    tool_calls: Option<CallParts>,
    #[serde(deserialize_with = "lenient")]
    tool_call_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    tool_return: Option<Value>,
    #[serde(deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    tool_returns: Option<Vec<ReturnPart>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) approvals: Option<Vec<ApprovalPart>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) stop_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) detail: Option<String>,
}

/// What an agent's entry holds of the request that waits in its default conversation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PendingEntry {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    pub(super) pending_approval: Value,
}

/// The decision on one call, as a history shows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApprovalPart {
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_call_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) approve: Option<bool>,
}

/// A text, or parts of which some are text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Part {
    Text { text: String },
    Other(IgnoredAny),
}

impl Content {
    /// All the text there is.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text { text } => text.as_str(),
                    Part::Other(_) => "",
                })
                .collect(),
        }
    }
}

/// A tool call, or what is new of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CallPart {
    #[serde(deserialize_with = "lenient")]
    pub(crate) tool_call_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) arguments: Option<String>,
}

/// A list in step mode, one object in token mode.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum CallParts {
    All(Vec<CallPart>),
    One(CallPart),
}

/// What one tool returned.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReturnPart {
    #[serde(deserialize_with = "lenient")]
    pub(crate) tool_call_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    tool_return: Option<Value>,
    #[serde(deserialize_with = "lenient")]
    status: Option<String>,
}

impl ReturnPart {
    pub(crate) fn is_ok(&self) -> bool {
        self.status.as_deref() == Some("success")
    }

    /// What it returned, as text: parts are joined, other JSON stays JSON.
    pub(crate) fn text(&self) -> String {
        match &self.tool_return {
            None | Some(Value::Null) => String::new(),
            Some(value) => match serde_json::from_value::<Content>(value.clone()) {
                Ok(content) => json::join_surrogates(&content.text()),
                Err(_) => json::join_surrogates(&value.to_string()),
            },
        }
    }
}

impl Message {
    /// What is made of something that is no message: words, in case it stands for an error.
    pub(crate) fn only_words(words: &str) -> Self {
        Self {
            detail: Some(words.to_owned()),
            ..Self::default()
        }
    }

    /// The calls that a message makes or adds to.
    pub(crate) fn calls(&self) -> Vec<CallPart> {
        match (&self.tool_calls, &self.tool_call) {
            (Some(CallParts::All(all)), _) if !all.is_empty() => all.clone(),
            (Some(CallParts::One(one)), _) | (_, Some(one)) => vec![one.clone()],
            (_, None) => Vec::new(),
        }
    }

    /// The call that a tool return is of, where it is of one.
    pub(crate) fn tool_call_id(&self) -> Option<&str> {
        self.tool_call_id.as_deref()
    }

    /// What tools returned.
    pub(crate) fn returns(self) -> Vec<ReturnPart> {
        match self.tool_returns {
            Some(all) if !all.is_empty() => all,
            _ => vec![ReturnPart {
                tool_call_id: self.tool_call_id,
                tool_return: self.tool_return,
                status: self.status,
            }],
        }
    }
}
