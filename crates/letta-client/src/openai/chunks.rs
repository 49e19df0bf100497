//! Chunks of a stream to [`TurnEvent`]s. Pure: no clock, no network.
//!
//! Servers agree on little more than `choices[0].delta.content`: some end with `[DONE]`, some only
//! hang up, some report a failure in a chunk of its own and still say `[DONE]`. So the decoder
//! collects, and is asked at the end what it all meant. Nothing that a server sends makes it fail
//! or grow without limit.

use serde_json::Value;

use crate::{
    backend::{StopReason, TurnEvent, TurnFailure},
    failure::FailureKind,
    id::{MessageId, RunId},
    json::{self, SurrogateJoiner},
    rest::{
        TurnLimits, decoder,
        failure::{DETAIL_CHARS_MAX, truncate},
    },
    sse::SseEvent,
};

/// The id of a message on servers that name none.
const UNNAMED: &str = "answer";

/// Collects one turn.
#[derive(Debug)]
pub(super) struct Chunks {
    limits: TurnLimits,
    /// The answer's id. The server has begun to answer once there is one.
    message: Option<MessageId>,
    events: usize,
    text_bytes: usize,
    finish: Option<String>,
    halves: SurrogateJoiner,
    failure: Option<TurnFailure>,
    done: bool,
}

impl Chunks {
    pub(super) fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            message: None,
            events: 0,
            text_bytes: 0,
            finish: None,
            halves: SurrogateJoiner::default(),
            failure: None,
            done: false,
        }
    }

    /// Nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.done || self.failure.is_some()
    }

    /// The server has said how the turn ended; all that can come is `[DONE]`.
    pub(super) fn has_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// More came than a limit allows.
    pub(super) fn exceed_limit(&mut self, code: &str) {
        let detail = "the answer is past a limit of the bridge";
        self.failure
            .get_or_insert(failure(code, detail, FailureKind::Refused));
    }

    /// Takes one event and appends what it means to `out`.
    pub(super) fn feed(&mut self, event: &SseEvent, out: &mut Vec<TurnEvent>) {
        if self.is_over() {
            return;
        }
        self.events += 1;
        if self.events > self.limits.events {
            return self.exceed_limit("TOO_MANY_EVENTS");
        }
        if event.data == "[DONE]" {
            self.done = true;
            return;
        }
        let Ok(chunk) = json::read::<Value>(&event.data) else {
            tracing::debug!("an event of an OpenAI-compatible stream is no JSON");
            return;
        };
        if !chunk["error"].is_null() || event.event == "error" {
            self.failure = Some(reported(&chunk));
            return;
        }
        let Some(message) = self.begin(&chunk, out) else {
            return;
        };
        let choice = &chunk["choices"][0];
        if let Some(text) = choice["delta"]["content"].as_str()
            && !text.is_empty()
        {
            self.text_bytes += text.len();
            if self.text_bytes > self.limits.text_bytes {
                return self.exceed_limit("ANSWER_TOO_LONG");
            }
            let delta = self.halves.join(text);
            if !delta.is_empty() {
                out.push(TurnEvent::Text { message, delta });
            }
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
    }

    /// The answer's id, the same for all chunks of a turn.
    fn begin(&mut self, chunk: &Value, out: &mut Vec<TurnEvent>) -> Option<MessageId> {
        if self.message.is_none() {
            let named = chunk["id"].as_str();
            if let Some(run) = named.and_then(|id| RunId::parse(id).ok()) {
                let resumable = false;
                out.push(TurnEvent::Started { run, resumable });
            }
            let mut ids = named.into_iter().chain([UNNAMED]);
            self.message = ids.find_map(|id| MessageId::parse(id).ok());
        }
        self.message.clone()
    }

    /// What the stream meant, once it has ended.
    pub(super) fn finish(&mut self) -> StopReason {
        if let Some(failure) = self.failure.take() {
            return StopReason::Failed(failure);
        }
        match self.finish.as_deref() {
            Some("length") => {
                let detail = "the model reached its limit of tokens";
                StopReason::Failed(failure("MAX_TOKENS_EXCEEDED", detail, FailureKind::Refused))
            }
            Some("content_filter") => {
                let detail = "the model's provider has filtered the answer";
                StopReason::Failed(failure("CONTENT_FILTER", detail, FailureKind::Refused))
            }
            Some(_) => StopReason::EndTurn,
            None if self.done => StopReason::EndTurn,
            None => incomplete("the stream ended before the turn"),
        }
    }
}

/// A turn of which nothing more will be known.
pub(super) fn incomplete(detail: &str) -> StopReason {
    StopReason::Failed(failure("STREAM_INCOMPLETE", detail, FailureKind::Broken))
}

/// What a chunk reports instead of an answer.
fn reported(chunk: &Value) -> TurnFailure {
    let error = &chunk["error"];
    let code = error["code"].as_str().or_else(|| error["type"].as_str());
    let code = code.unwrap_or("error").to_uppercase();
    let words = error["message"].as_str().or_else(|| error.as_str());
    let detail = words.map_or_else(|| chunk.to_string(), str::to_owned);
    let status = error["status"].as_u64().or_else(|| error["code"].as_u64());
    let status = status.and_then(|status| u16::try_from(status).ok());
    let kind = FailureKind::of_stream(&code.to_lowercase(), &detail, status);
    failure(&code, &detail, kind)
}

fn failure(code: &str, detail: &str, kind: FailureKind) -> TurnFailure {
    TurnFailure {
        code: decoder::code(code),
        detail: truncate(detail, DETAIL_CHARS_MAX),
        kind,
    }
}

#[cfg(test)]
mod tests;
