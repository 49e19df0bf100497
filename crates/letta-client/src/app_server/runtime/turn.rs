//! One turn: what it has told so far, and to whom.
//!
//! A turn that waits for a person's decision is told in parts, and each part is a stream of its
//! own with a run id of its own, as on a server where each of them is a run. Who comes late to a
//! part hears it from its beginning.

use crate::{
    app_server::wire::{Delta, Retry},
    backend::{ApprovalRequest, StopReason, ToolCall, TurnEvent, TurnFailure, TurnStream},
    failure::FailureKind,
    id::{MessageId, RunId, ToolCallId},
    json::{self, SurrogateJoiner},
    rest::decoder::{
        CALLS_MAX, TOOL_RETURN_BYTES_MAX, TurnLimits, failure, message_id, stop_of_reason,
    },
    rest::wire::{Content, Message},
};

mod segment;
mod tools;

pub(in crate::app_server) use segment::StreamEnd;
use segment::TurnSegment;
pub(super) use segment::{derive_run_id, segment_run, split};
use tools::TurnTools;

/// How far a turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TurnState {
    /// The server has not said yet that it has the input.
    Asked,
    /// It has, and nothing was heard of it since.
    Accepted,
    /// The input waits for somebody else's turn to end.
    Queued,
    Running,
    /// A person has to decide.
    Waiting,
    /// It is over, and what was missed of it is read from the history.
    Over(StopReason),
    /// It was begun before us; the history tells whether it is known at all.
    Sought,
    /// It was cut off; the conversation is being copied.
    Moving,
}

/// A turn of one conversation.
#[derive(Debug)]
pub(super) struct Turn {
    /// Tells the alarms of different turns apart.
    pub(super) number: u64,
    /// The ids of the inputs that it answers, as far as they are known.
    pub(super) keys: Vec<String>,
    pub(super) state: TurnState,
    /// The server's word for how it stopped.
    pub(super) stop: Option<String>,
    /// Something of it may not have been heard.
    pub(super) gap: bool,
    /// Nobody was subscribed for a while, for which the server cancels a turn.
    pub(super) unwatched: bool,
    /// A person stopped it by us.
    pub(super) cancelled: bool,
    limits: TurnLimits,
    segments: Vec<TurnSegment>,
    /// Messages that a retry makes void.
    said: Vec<MessageId>,
    tools: TurnTools,
    failure: Option<TurnFailure>,
    /// What the last piece of text left, and of which message it was.
    halves: Option<(MessageId, SurrogateJoiner)>,
    events: usize,
    text_bytes: usize,
}

impl Turn {
    pub(super) fn new(number: u64, keys: Vec<String>, run: RunId, limits: TurnLimits) -> Self {
        Self {
            number,
            keys,
            state: TurnState::Asked,
            stop: None,
            gap: false,
            unwatched: false,
            cancelled: false,
            limits,
            segments: vec![TurnSegment::new(run)],
            said: Vec::new(),
            tools: TurnTools::default(),
            failure: None,
            halves: None,
            events: 0,
            text_bytes: 0,
        }
    }

    /// Whether it answers one of these inputs.
    pub(super) fn answers(&self, keys: &[String]) -> bool {
        keys.iter().any(|key| self.keys.contains(key))
    }

    fn last_segment(&mut self) -> Option<&mut TurnSegment> {
        self.segments.last_mut()
    }

    /// The run of the part that is told now.
    pub(super) fn run(&self) -> Option<&RunId> {
        self.segments.last().map(|part| &part.run)
    }

    /// Whether this is the run of one of its parts.
    pub(super) fn has_segment(&self, run: &RunId) -> bool {
        self.segments.iter().any(|part| part.run == *run)
    }

    /// Whether its last part is over.
    pub(super) fn has_ended(&self) -> bool {
        self.segments
            .last()
            .is_some_and(|part| part.ending.is_some())
    }

    /// Whether its last part has told nothing yet.
    pub(super) fn has_only_begun(&self) -> bool {
        self.segments.last().is_some_and(|part| part.log.len() <= 1)
    }

    /// Begins another part. `after` is what tells it apart from the others.
    pub(super) fn begin_segment(&mut self, after: &str) {
        let Some(first) = self.segments.first() else {
            return;
        };
        let run = segment_run(&first.run, after).unwrap_or_else(|| first.run.clone());
        self.segments.push(TurnSegment::new(run));
        self.said.clear();
        self.start();
    }

    /// A stream of the part that is told now, from its beginning.
    pub(super) fn open_stream(&mut self) -> Option<TurnStream> {
        self.last_segment().map(TurnSegment::open_stream)
    }

    /// A stream of one of its parts, from its beginning.
    pub(super) fn open_stream_of(&mut self, run: &RunId) -> Option<TurnStream> {
        let part = self.segments.iter_mut().rfind(|part| part.run == *run)?;
        Some(part.open_stream())
    }

    /// The server has the input.
    pub(super) fn start(&mut self) {
        let Some(part) = self.last_segment().filter(|part| part.log.is_empty()) else {
            return;
        };
        let run = part.run.clone();
        part.emit(TurnEvent::Started {
            run,
            resumable: true,
        });
    }

    /// Ends its last part.
    pub(super) fn end_last_segment(&mut self, ending: StreamEnd) {
        if let Some(part) = self.last_segment().filter(|part| part.ending.is_none()) {
            part.end(ending);
        }
    }

    /// How it ended, in the server's words and what was heard besides.
    pub(super) fn stop_of(&mut self, word: &str, error: Option<&str>) -> StopReason {
        if word == "cancelled" {
            return StopReason::Cancelled;
        }
        match (stop_of_reason(word), self.failure.take()) {
            (StopReason::Failed(_), Some(heard)) => StopReason::Failed(heard),
            (StopReason::Failed(_), None) => {
                StopReason::Failed(failure(word, error.unwrap_or_default()))
            }
            (stop, _) => stop,
        }
    }

    /// What was told and not ended yet is void: the server begins anew.
    pub(super) fn discard(&mut self) {
        for message in std::mem::take(&mut self.said) {
            self.emit(TurnEvent::Discard { message });
        }
        self.stop = None;
        self.failure = None;
    }

    /// A person has to decide.
    pub(super) fn ask(&mut self, request: ApprovalRequest) {
        self.start();
        self.state = TurnState::Waiting;
        self.tools.ask(&request);
        self.emit(TurnEvent::Approval(request));
        self.end_last_segment(StreamEnd::Stop(StopReason::NeedsApproval));
    }

    /// The call as it was announced, if it was.
    pub(super) fn call(&self, id: &ToolCallId) -> Option<&ToolCall> {
        self.tools.call(id)
    }

    fn emit(&mut self, event: TurnEvent) {
        if let Some(part) = self.last_segment().filter(|part| part.ending.is_none()) {
            part.emit(event);
        }
    }

    /// Nothing more is heard of it for now, or it is heard again.
    pub(super) fn set_connected(&mut self, is: bool) {
        self.emit(if is {
            TurnEvent::Reconnected
        } else {
            TurnEvent::Interrupted
        });
    }

    fn fail_with(&mut self, code: &str) {
        self.end_last_segment(StreamEnd::Stop(StopReason::Failed(TurnFailure {
            code: code.to_owned(),
            detail: "the turn brought more than a limit allows".to_owned(),
            kind: FailureKind::Refused,
        })));
    }

    /// Takes something new.
    pub(super) fn apply_delta(&mut self, delta: Delta) {
        self.events += 1;
        if self.events > self.limits.events {
            return self.fail_with("TOO_MANY_EVENTS");
        }
        let Delta {
            message,
            failure: loop_error,
            retry,
            ..
        } = delta;
        match message.message_type.as_deref().unwrap_or_default() {
            "retry" => {
                // What has failed was told before it.
                let failed = self.failure.take().map(|failure| failure.kind);
                self.discard();
                self.retries(&retry.unwrap_or_default(), failed);
            }
            "event_message" => {
                if let Some(retry) = retry {
                    self.retries(&retry, None);
                }
            }
            "stop_reason" => {
                let word = message
                    .stop_reason
                    .filter(|word| word != "requires_approval");
                self.stop = word.or_else(|| self.stop.take());
            }
            "error_message" => {
                self.failure = Some(loop_error.reported(&message));
            }
            "loop_error" => {
                self.failure
                    .get_or_insert_with(|| loop_error.stopped(&message));
            }
            "client_tool_start" => {
                let id = message.tool_call_id();
                let id = id.and_then(|id| ToolCallId::parse(id).ok());
                let started = id.and_then(|id| self.tools.start(&id));
                if let Some(call) = started {
                    self.emit(call);
                }
            }
            _ => self.apply_message(message),
        }
    }

    /// The server asks the model provider again. `failed`: how it has failed, if that was told.
    fn retries(&mut self, retry: &Retry, failed: Option<FailureKind>) {
        self.emit(TurnEvent::Retrying {
            kind: failed.unwrap_or_else(|| retry.kind()),
            delay: retry.delay(),
        });
    }

    /// Takes a message: of a turn that runs, or of the history of one that has ended.
    pub(super) fn apply_message(&mut self, message: Message) {
        match message.message_type.as_deref().unwrap_or_default() {
            "assistant_message" => {
                let text = message.content.as_ref().map(Content::text);
                self.write(&message, text, |message, delta| TurnEvent::Text {
                    message,
                    delta,
                });
            }
            "reasoning_message" => {
                let text = message.reasoning.clone();
                self.write(&message, text, |message, delta| TurnEvent::Reasoning {
                    message,
                    delta,
                });
            }
            "approval_request_message" => self.called(&message),
            "tool_return_message" => self.returned(message),
            _ => {}
        }
    }

    fn write(
        &mut self,
        message: &Message,
        text: Option<String>,
        event: fn(MessageId, String) -> TurnEvent,
    ) {
        let Some(delta) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.text_bytes += delta.len();
        if self.text_bytes > self.limits.text_bytes {
            return self.fail_with("ANSWER_TOO_LONG");
        }
        let Some(id) = message_id(message) else {
            return;
        };
        let mut halves = match self.halves.take() {
            Some((known, halves)) if known == id => halves,
            _ => SurrogateJoiner::default(),
        };
        let delta = halves.join(&delta);
        self.halves = Some((id.clone(), halves));
        if delta.is_empty() {
            return;
        }
        if !self.said.contains(&id) {
            self.said.push(id.clone());
        }
        self.emit(event(id, delta));
    }

    fn called(&mut self, message: &Message) {
        for part in message.calls() {
            let id = part.tool_call_id.and_then(|id| ToolCallId::parse(id).ok());
            let Some(id) = id.filter(|id| self.tools.call(id).is_none()) else {
                continue;
            };
            let call = ToolCall {
                id,
                name: json::join_surrogates(&part.name.unwrap_or_default()),
                arguments: json::join_surrogates(&part.arguments.unwrap_or_default()),
            };
            if self.tools.len() >= CALLS_MAX {
                return self.fail_with("TOO_MANY_TOOL_CALLS");
            }
            if call.arguments.len() > self.limits.tool_argument_bytes {
                return self.fail_with("TOOL_ARGUMENTS_TOO_LONG");
            }
            self.tools.announce(call);
        }
    }

    fn returned(&mut self, message: Message) {
        for part in message.returns() {
            let id = part.tool_call_id.as_deref();
            let Some(call) = id.and_then(|id| ToolCallId::parse(id).ok()) else {
                continue;
            };
            let mut text = part.text();
            text.truncate(text.floor_char_boundary(TOOL_RETURN_BYTES_MAX));
            for event in self.tools.returned(call, part.is_ok(), text) {
                self.emit(event);
            }
        }
    }
}
