//! The JSON that the demo says, key for key in the order of a V1 server's answers.
//!
//! One [`Message`] is both a frame of a stream and an entry of a history, as in Letta.

use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;

use super::{ids, script::Call};

/// A message of Letta.
#[derive(Clone, Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are named as in Letta's JSON"
)]
pub(super) struct Message {
    pub(super) id: String,
    date: String,
    name: Option<String>,
    pub(super) message_type: &'static str,
    pub(super) otid: Option<String>,
    sender_id: Option<String>,
    step_id: Option<String>,
    is_err: Option<bool>,
    pub(super) seq_id: Option<u64>,
    pub(super) run_id: Option<String>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Body {
    Empty {},
    Content {
        content: String,
    },
    Reasoning {
        source: &'static str,
        reasoning: String,
        signature: Option<String>,
    },
    Calls {
        tool_call: CallPart,
        tool_calls: CallParts,
    },
    Return(ReturnBody),
    Decisions {
        approvals: Vec<Decision>,
        approve: Option<bool>,
        reason: Option<String>,
    },
}

#[derive(Clone, Debug, Serialize)]
struct ReturnBody {
    #[serde(flatten)]
    result: ReturnPart,
    tool_returns: [TypedReturn; 1],
}

#[derive(Clone, Debug, Serialize)]
struct ReturnPart {
    tool_return: String,
    status: &'static str,
    tool_call_id: String,
    stdout: Option<Vec<String>>,
    stderr: Option<Vec<String>>,
}

#[derive(Clone, Debug, Serialize)]
struct TypedReturn {
    r#type: &'static str,
    #[serde(flatten)]
    result: ReturnPart,
}

/// A list in step mode, one object in token mode.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum CallParts {
    One(CallPart),
    All(Vec<CallPart>),
}

/// A call, or what is new of it: `tool_call_message` leaves absent keys out,
/// `approval_request_message` has them as `null`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum CallPart {
    Name {
        name: String,
        tool_call_id: String,
    },
    Arguments {
        arguments: String,
        tool_call_id: String,
    },
    Full {
        name: Option<String>,
        arguments: Option<String>,
        tool_call_id: String,
    },
}

/// A person's decision on one call, as a history shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Decision {
    pub(super) r#type: &'static str,
    pub(super) tool_call_id: String,
    pub(super) approve: bool,
    pub(super) reason: Option<String>,
}

/// A call under its id.
#[derive(Clone, Debug)]
pub(super) struct IdentifiedCall {
    pub(super) id: String,
    pub(super) call: Call,
}

impl IdentifiedCall {
    fn full(&self) -> CallPart {
        CallPart::Full {
            name: Some(self.call.name.clone()),
            arguments: Some(self.call.arguments.clone()),
            tool_call_id: self.id.clone(),
        }
    }
}

/// The ids that the messages of one step share.
#[derive(Clone, Debug)]
pub(super) struct Step {
    run: String,
    uuid: String,
    id: String,
}

impl Step {
    pub(super) fn new(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            uuid: ids::uuid(),
            id: ids::new("step-"),
        }
    }

    fn message(&self, message_type: &'static str, part: usize, body: Body) -> Message {
        // As Letta does: the message's own UUID, its last two digits replaced by a number.
        let otid = format!("{}{:02}", &self.uuid[..self.uuid.len() - 2], part % 100);
        Message {
            id: format!("message-{}", self.uuid),
            date: now(),
            name: None,
            message_type,
            otid: Some(otid),
            sender_id: None,
            step_id: Some(self.id.clone()),
            is_err: None,
            seq_id: None,
            run_id: Some(self.run.clone()),
            body,
        }
    }

    pub(super) fn reasoning(&self, text: &str) -> Message {
        let body = Body::Reasoning {
            source: "reasoner_model",
            reasoning: text.to_owned(),
            signature: None,
        };
        self.message("reasoning_message", 0, body)
    }

    pub(super) fn assistant(&self, text: &str) -> Message {
        self.message(
            "assistant_message",
            1,
            Body::Content {
                content: text.to_owned(),
            },
        )
    }

    /// All calls of the step at once, as in step mode and in the history.
    pub(super) fn calls(&self, calls: &[IdentifiedCall], ask: bool) -> Option<Message> {
        let parts: Vec<_> = calls.iter().map(IdentifiedCall::full).collect();
        let body = Body::Calls {
            tool_call: parts.first()?.clone(),
            tool_calls: CallParts::All(parts),
        };
        Some(self.message(call_type(ask), 2, body))
    }

    /// One call as token mode streams it: its name, then its arguments in pieces.
    pub(super) fn call_deltas(&self, call: &IdentifiedCall, ask: bool) -> Vec<Message> {
        let part = |name: Option<String>, arguments: Option<String>| {
            let tool_call_id = call.id.clone();
            match (name, arguments) {
                (Some(name), None) if !ask => CallPart::Name { name, tool_call_id },
                (None, Some(arguments)) if !ask => CallPart::Arguments {
                    arguments,
                    tool_call_id,
                },
                (name, arguments) => CallPart::Full {
                    name,
                    arguments,
                    tool_call_id,
                },
            }
        };
        let characters: Vec<_> = call.call.arguments.chars().collect();
        let rest = characters
            .chunks(12)
            .map(|piece| part(None, Some(piece.iter().collect())));
        let first = part(Some(call.call.name.clone()), None);
        std::iter::once(first)
            .chain(rest)
            .map(|part| {
                let body = Body::Calls {
                    tool_call: part.clone(),
                    tool_calls: CallParts::One(part),
                };
                self.message(call_type(ask), 2, body)
            })
            .collect()
    }

    /// What a tool returned. A message of its own, so a new id.
    pub(super) fn tool_return(&self, call: &IdentifiedCall, ok: bool, text: &str) -> Message {
        let result = ReturnPart {
            tool_return: text.to_owned(),
            status: if ok { "success" } else { "error" },
            tool_call_id: call.id.clone(),
            stdout: None,
            stderr: None,
        };
        let tool_returns = [TypedReturn {
            r#type: "tool",
            result: result.clone(),
        }];
        let own = Self {
            uuid: ids::uuid(),
            ..self.clone()
        };
        let body = Body::Return(ReturnBody {
            result,
            tool_returns,
        });
        let name = Some(call.call.name.clone());
        Message {
            name,
            ..own.message("tool_return_message", 0, body)
        }
    }

    /// What a person sent, as the history shows it.
    pub(super) fn user(&self, text: &str, from: PromptSender) -> Message {
        let own = Self {
            uuid: ids::uuid(),
            ..self.clone()
        };
        let message = own.message(
            "user_message",
            0,
            Body::Content {
                content: text.to_owned(),
            },
        );
        Message {
            name: from.name,
            sender_id: from.sender_id,
            otid: from.otid.or_else(|| Some(ids::uuid())),
            ..message
        }
    }

    pub(super) fn approval_response(&self, approvals: Vec<Decision>) -> Message {
        let own = Self {
            uuid: ids::uuid(),
            ..self.clone()
        };
        let approve = approvals.first().map(|one| one.approve);
        let reason = approvals.first().and_then(|one| one.reason.clone());
        let body = Body::Decisions {
            approvals,
            approve,
            reason,
        };
        own.message("approval_response_message", 0, body)
    }

    pub(super) fn ping(&self) -> Message {
        Message {
            id: ids::new("ping-"),
            otid: None,
            step_id: None,
            ..self.message("ping", 0, Body::Empty {})
        }
    }
}

impl Message {
    /// Whether it is a decision on this call.
    pub(super) fn decides(&self, call: &str) -> bool {
        match &self.body {
            Body::Decisions { approvals, .. } => {
                approvals.iter().any(|one| one.tool_call_id == call)
            }
            _ => false,
        }
    }
}

/// Who sent a prompt, and under which key.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptSender {
    pub(super) name: Option<String>,
    pub(super) sender_id: Option<String>,
    pub(super) otid: Option<String>,
}

/// The long first entry of every history, which clients drop.
pub(super) fn system(text: &str) -> Message {
    let step = Step::new("");
    Message {
        otid: None,
        step_id: None,
        run_id: None,
        ..step.message(
            "system_message",
            0,
            Body::Content {
                content: text.to_owned(),
            },
        )
    }
}

fn call_type(ask: bool) -> &'static str {
    if ask {
        "approval_request_message"
    } else {
        "tool_call_message"
    }
}

/// Messages have whole seconds and a numeric zone, unlike everything else in Letta.
fn now() -> String {
    let text = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    text.replace('Z', "+00:00")
}

/// One `data:` frame.
pub(super) fn data(value: &impl Serialize) -> Bytes {
    format!("data: {}\n\n", json(value)).into()
}

/// The frame that says how a turn ended.
pub(super) fn stop(reason: &str) -> Bytes {
    if reason == "cancelled" {
        // This one is written by another part of V1, which leaves spaces.
        return Bytes::from_static(
            b"data: {\"message_type\": \"stop_reason\", \"stop_reason\": \"cancelled\"}\n\n",
        );
    }
    format!("data: {{\"message_type\":\"stop_reason\",\"stop_reason\":\"{reason}\"}}\n\n").into()
}

/// The frame with token counts; the demo counts words.
pub(super) fn usage(words: usize, steps: usize) -> Bytes {
    format!(
        "data: {{\"message_type\":\"usage_statistics\",\"completion_tokens\":{words},\
         \"prompt_tokens\":0,\"total_tokens\":{words},\"step_count\":{steps},\"run_ids\":null,\
         \"cached_input_tokens\":null,\"cache_write_tokens\":null,\"reasoning_tokens\":null,\
         \"context_tokens\":{words}}}\n\n"
    )
    .into()
}

/// The frame that says what failed.
pub(super) fn error(run: &str, error_type: &str, message: &str, detail: &str) -> Bytes {
    #[derive(Serialize)]
    struct ErrorMessage<'a> {
        message_type: &'static str,
        run_id: &'a str,
        error_type: &'a str,
        message: &'a str,
        detail: &'a str,
        seq_id: Option<u64>,
    }
    let body = ErrorMessage {
        message_type: "error_message",
        run_id: run,
        error_type,
        message,
        detail,
        seq_id: None,
    };
    format!("event: error\ndata: {}\n\n", json(&body)).into()
}

/// The last frame of most streams.
pub(super) fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

/// Strings and numbers under string keys: nothing here can fail to become JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
