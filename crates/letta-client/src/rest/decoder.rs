//! Events of a stream to [`TurnEvent`]s. Pure: no clock, no network.
//!
//! A stream is over at `[DONE]` or where the connection ends; only what came before says which of
//! the two was a good end. So the decoder collects (`feed`), and is asked at the end what it all
//! meant (`finish`). It also compares what a stream has brought with what the server has stored
//! (`replay`), for streams that broke and for agents whose text never was in the stream.
//!
//! Nothing that a server sends makes it fail or grow without limit: unknown types pass, malformed
//! values are passed over, and past a limit of [`TurnLimits`] the turn has failed.

use std::collections::HashMap;

use super::{
    failure::{DETAIL_CHARS_MAX, conflict, truncate},
    wire::Message,
};
use crate::{
    backend::{ApprovalRequest, StopReason, ToolCall, TurnEvent, TurnFailure},
    error::BackendError,
    failure::FailureKind,
    id::{MessageId, RunId},
    json::{self, SurrogateJoiner},
    sse::SseEvent,
};

mod calls;
mod replay;
#[cfg(test)]
mod tests;

use calls::Calls;
pub use calls::{CALLS_MAX, TOOL_RETURN_BYTES_MAX};

/// The most text of one turn, in bytes: assistant messages and reasoning together.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The most events of one turn's stream.
pub const EVENTS_MAX: usize = 300_000;

/// The longest arguments of one tool call, in bytes.
pub const TOOL_ARGUMENT_BYTES_MAX: usize = 256 * 1024;

/// What one turn may bring. Past a limit it ends with [`StopReason::Failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// See [`TEXT_BYTES_MAX`]; past it the code is `ANSWER_TOO_LONG`.
    pub text_bytes: usize,
    /// See [`EVENTS_MAX`]; past it the code is `TOO_MANY_EVENTS`.
    pub events: usize,
    /// See [`TOOL_ARGUMENT_BYTES_MAX`]; past it the code is `TOOL_ARGUMENTS_TOO_LONG`.
    pub tool_argument_bytes: usize,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            text_bytes: TEXT_BYTES_MAX,
            events: EVENTS_MAX,
            tool_argument_bytes: TOOL_ARGUMENT_BYTES_MAX,
        }
    }
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The turn is over.
    Stop(StopReason),
    /// The turn never began.
    Error(BackendError),
    /// The stream has ended, the turn perhaps not.
    Lost,
}

/// What one event does, beside text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum TextKind {
    Assistant,
    Reasoning,
}

/// What an error event says.
#[derive(Debug)]
struct StreamError {
    error_type: Option<String>,
    words: String,
}

/// Collects the events of one turn, over all the connections that it takes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    limits: TurnLimits,
    run: Option<RunId>,
    /// The highest `seq_id` seen; 0 before the first, as a server counts from 1.
    sequence: u64,
    events: usize,
    /// Events that say something new; a ping that repeats the last `seq_id` does not.
    news: usize,
    text_bytes: usize,
    written: HashMap<(MessageId, TextKind), String>,
    /// What the last piece of text left, and of which message it was.
    halves: Option<((MessageId, TextKind), SurrogateJoiner)>,
    calls: Calls,
    stop: Option<String>,
    error: Option<StreamError>,
    breach: Option<&'static str>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            calls: Calls::new(limits.tool_argument_bytes),
            ..Self::default()
        }
    }

    /// The run, once the server has named it.
    pub(super) fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// Where to take up a background stream again.
    pub(super) fn last_seq_id(&self) -> u64 {
        self.sequence
    }

    /// How many events said something new: only these show that the run lives. A server that has lost the run goes on with
    /// pings.
    pub(super) fn new_event_count(&self) -> usize {
        self.news
    }

    /// Whether a tool may have run.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Takes the request that the server has stored for the one that it has streamed: of several calls V1 may stream all and
    /// keep one.
    pub(super) fn stored_request(&mut self, request: ApprovalRequest, events: &mut Vec<TurnEvent>) {
        events.retain(|event| !matches!(event, TurnEvent::Approval(_)));
        self.calls.request_is_emitted();
        let streamed = self.calls.asked_for();
        let is_kept = |call: &ToolCall| request.calls.iter().any(|kept| kept.id == call.id);
        // If none of them is there, the server names its calls anew, and nothing is known of the others.
        if streamed.iter().any(is_kept) {
            let dropped = streamed.into_iter().filter(|call| !is_kept(call));
            events.extend(dropped.map(TurnEvent::CallDropped));
        }
        events.push(TurnEvent::Approval(request));
    }

    /// Nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.done || self.breach.is_some()
    }

    /// The server has said how the turn ended, so a connection that ends now has done its work.
    pub(super) fn has_end(&self) -> bool {
        self.stop.is_some() || self.error.is_some() || self.is_over()
    }

    /// The turn is known by its run from elsewhere than a stream.
    pub(super) fn set_run(&mut self, run: RunId, out: &mut Vec<TurnEvent>) {
        if self.run.is_none() {
            self.run = Some(run.clone());
            // A run that was not made in background mode is resumed by polling it.
            out.push(TurnEvent::Started {
                run,
                resumable: true,
            });
        }
    }

    /// The stream brought more than its parser takes.
    pub(super) fn exceed_limit(&mut self, code: &'static str) {
        self.breach.get_or_insert(code);
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
        let message: Message = match json::read(&event.data) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "an event of Letta's stream is no JSON object");
                Message::only_words(&event.data)
            }
        };
        if event.event == "error" || message.message_type.as_deref() == Some("error_message") {
            return self.failed(message);
        }
        if let Some(sequence) = message.seq_id {
            if sequence <= self.sequence {
                // A server that sends again what it was told to leave out.
                return;
            }
            self.sequence = sequence;
        }
        self.news += usize::from(
            message.message_type.as_deref() != Some("ping") || message.seq_id.is_some(),
        );
        if let Some(run) = message.run_id.as_ref().and_then(|run| run.parse().ok()) {
            self.set_run(run, out);
        }
        self.message(message, out);
    }

    fn message(&mut self, message: Message, out: &mut Vec<TurnEvent>) {
        let kind = message.message_type.as_deref().unwrap_or_default();
        if !matches!(kind, "ping" | "tool_call_message") {
            // The model has gone on: what it called before is complete.
            self.calls.complete_all(out);
        }
        match kind {
            "assistant_message" => {
                let text = message.content.as_ref().map(super::wire::Content::text);
                self.write(&message, TextKind::Assistant, text, out);
            }
            "reasoning_message" => {
                self.write(
                    &message,
                    TextKind::Reasoning,
                    message.reasoning.clone(),
                    out,
                );
            }
            "hidden_reasoning_message" => {
                self.write(
                    &message,
                    TextKind::Reasoning,
                    message.hidden_reasoning.clone(),
                    out,
                );
            }
            "tool_call_message" | "approval_request_message" => {
                let ask = kind == "approval_request_message";
                if let Err(code) = self
                    .calls
                    .add(message_id(&message), message.calls(), ask, out)
                {
                    self.exceed_limit(code);
                }
            }
            "tool_return_message" => {
                for part in message.returns() {
                    self.calls.returned(&part, out);
                }
            }
            "stop_reason" => {
                // A stream that dies says first that, then how.
                self.stop = message.stop_reason.or_else(|| self.stop.take());
            }
            // `ping`, `usage_statistics`, and what is not known yet.
            _ => {}
        }
    }

    fn write(
        &mut self,
        message: &Message,
        text_kind: TextKind,
        text: Option<String>,
        out: &mut Vec<TurnEvent>,
    ) {
        let Some(delta) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.text_bytes += delta.len();
        if self.text_bytes > self.limits.text_bytes {
            return self.exceed_limit("ANSWER_TOO_LONG");
        }
        let Some(message) = message_id(message) else {
            return;
        };
        let key = (message.clone(), text_kind);
        let mut halves = match self.halves.take() {
            Some((known, halves)) if known == key => halves,
            _ => SurrogateJoiner::default(),
        };
        let delta = halves.join(&delta);
        self.halves = Some((key, halves));
        if delta.is_empty() {
            return;
        }
        self.written
            .entry((message.clone(), text_kind))
            .or_default()
            .push_str(&delta);
        out.push(match text_kind {
            TextKind::Assistant => TurnEvent::Text { message, delta },
            TextKind::Reasoning => TurnEvent::Reasoning { message, delta },
        });
    }

    fn failed(&mut self, message: Message) {
        let parts = [message.message, message.detail];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        self.error.get_or_insert(StreamError {
            error_type: message.error_type,
            words,
        });
    }

    /// Says what it all meant, and appends what was waiting for the end.
    pub(super) fn finish(&mut self, out: &mut Vec<TurnEvent>) -> Outcome {
        if let Some(stop) = self.breached() {
            return Outcome::Stop(stop);
        }
        self.calls.complete_all(out);
        if self.stop.as_deref() == Some("requires_approval") {
            out.extend(self.calls.take_approval_request());
        }
        if self.stop.as_deref() == Some("cancelled") {
            return Outcome::Stop(StopReason::Cancelled);
        }
        if let Some(error) = &self.error {
            // The words of a conflict inside a stream: what was sent was never taken.
            let untouched = self.written.is_empty() && self.calls.is_empty();
            let conflict = untouched.then(|| conflict(&error.words, None));
            if let Some(conflict) = conflict.flatten() {
                return Outcome::Error(conflict);
            }
            let word = error
                .error_type
                .as_deref()
                .or(self.stop.as_deref())
                .unwrap_or("error");
            return Outcome::Stop(StopReason::Failed(failure(word, &error.words)));
        }
        match &self.stop {
            Some(word) => Outcome::Stop(stop_of_reason(word)),
            None => Outcome::Lost,
        }
    }

    /// The failure that a limit has made of the turn.
    pub(super) fn breached(&self) -> Option<StopReason> {
        let code = self.breach?.to_owned();
        let detail = "the turn brought more than a limit allows".to_owned();
        Some(StopReason::Failed(TurnFailure {
            code,
            detail,
            kind: FailureKind::Refused,
        }))
    }

    /// The request for a person's decision, unless it was told.
    pub(super) fn take_approval_request(&mut self) -> Option<TurnEvent> {
        self.calls.take_approval_request()
    }

    /// Whether `stop_of_reason` promises something that the stream has not brought.
    pub(super) fn lacks(&self, stop: &StopReason) -> bool {
        match stop {
            StopReason::EndTurn => !self
                .written
                .keys()
                .any(|(_, text_kind)| *text_kind == TextKind::Assistant),
            StopReason::NeedsApproval => !self.calls.asked(),
            _ => false,
        }
    }
}

/// The id of a message. Letta gives every message one; those to which it does not are one message.
pub(crate) fn message_id(message: &Message) -> Option<MessageId> {
    let parse = |id: &Option<String>| MessageId::parse(id.as_deref()?).ok();
    parse(&message.id)
        .or_else(|| parse(&message.otid))
        .or_else(|| "message".parse().ok())
}

/// What a `stop_reason` without an error means.
pub(crate) fn stop_of_reason(word: &str) -> StopReason {
    match word {
        "requires_approval" => StopReason::NeedsApproval,
        "max_steps" => StopReason::MaxSteps,
        "cancelled" => StopReason::Cancelled,
        "error"
        | "llm_api_error"
        | "invalid_llm_response"
        | "invalid_tool_call"
        | "max_tokens_exceeded"
        | "no_tool_call"
        | "insufficient_credits"
        | "context_window_overflow_in_system_prompt" => StopReason::Failed(failure(word, "")),
        // `end_turn`, `tool_rule`, and words of the future: without an error it was a good end.
        _ => StopReason::EndTurn,
    }
}

/// A server's word for a failure as a code, which rooms are shown: nothing but capital letters, digits and `_`.
pub(crate) fn code(word: &str) -> String {
    /// Longer than any word that Letta has.
    const CODE_CHARS_MAX: usize = 64;
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    word.chars().take(CODE_CHARS_MAX).map(plain).collect()
}

/// A failure by Letta's word for it.
pub(crate) fn failure(word: &str, detail: &str) -> TurnFailure {
    TurnFailure {
        code: code(word),
        detail: truncate(detail, DETAIL_CHARS_MAX),
        kind: FailureKind::of_stream(word, detail, None),
    }
}
