//! The task between sockets and conversations, played: line by line instead of as it comes.

use std::collections::HashMap;

use futures_util::{FutureExt, StreamExt};

use super::{
    Cause, RecordedTurn, Replay, StartedTurn,
    client::{self, ClientFrame},
};
use crate::{
    app_server::{
        command::Payload,
        history,
        missing::RequestSubject,
        runtime::{Effect, Runtime},
        wire::{self, Inbound, ResponseBody, Scope},
    },
    backend::{ApprovalRequest, Decision, Prompt, ToolPolicy},
    error::BackendError,
    id::ConversationId,
    rest::decoder::TurnLimits,
};

/// Under which id the copy of a stuck conversation goes on: no server has named it.
const COPY: &str = "local-conv-copy";

/// What an answer will be about.
enum What {
    Start(Scope),
    Input(Scope, Vec<Prompt>),
    Decision(Scope, ApprovalRequest, Decision),
    Agents,
}

/// See the module's documentation.
pub(in crate::app_server) struct TranscriptPlayer {
    runtimes: HashMap<Scope, Runtime>,
    asked: HashMap<String, What>,
    /// Whether a stuck conversation is copied, or left as it is.
    copies: bool,
    /// Whether the first socket leads, and whether there is another.
    first_leads: bool,
    has_second: bool,
    pub(in crate::app_server) begun: Vec<StartedTurn>,
    /// What a conversation wants done that is not done here.
    pub(in crate::app_server) undone: Vec<String>,
    played: Replay,
}

fn malformed(line: &str) -> BackendError {
    let line: String = line.chars().take(80).collect();
    BackendError::Protocol {
        detail: format!("not a line of a transcript: {line}"),
    }
}

impl TranscriptPlayer {
    pub(in crate::app_server) fn new(copies: bool) -> Self {
        Self {
            runtimes: HashMap::new(),
            asked: HashMap::new(),
            copies,
            first_leads: true,
            has_second: false,
            begun: Vec::new(),
            undone: Vec::new(),
            played: Replay {
                turns: Vec::new(),
                lists: Vec::new(),
                failures: Vec::new(),
                stopped: Vec::new(),
                waiting: Vec::new(),
            },
        }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), BackendError> {
        match line.split_once(' ').ok_or_else(|| malformed(line))? {
            (">", frame) => self.sent(frame)?,
            (">2", frame) => {
                self.has_second = true;
                self.sent(frame)?;
            }
            ("<", frame) => self.received(frame, self.first_leads),
            ("<2", frame) => self.received(frame, !self.first_leads),
            ("!", "1") => self.first_is_lost(),
            _ => return Err(malformed(line)),
        }
        Ok(())
    }

    fn first_is_lost(&mut self) {
        if self.has_second {
            self.first_leads = false;
            return;
        }
        for runtime in self.runtimes.values_mut() {
            runtime.all_sockets_lost();
        }
    }

    fn runtime(&mut self, at: &Scope) -> &mut Runtime {
        let new = || Runtime::new(TurnLimits::default(), RequestSubject::scope(at));
        self.runtimes.entry(at.clone()).or_insert_with(new)
    }

    /// A frame of the client.
    pub(in crate::app_server) fn sent(&mut self, frame: &str) -> Result<(), BackendError> {
        let (id, sent) = client::read(frame)?;
        match sent {
            ClientFrame::Start(at) => {
                self.runtime(&at);
                self.asked.insert(id, What::Start(at));
            }
            ClientFrame::Prompts(at, prompts) => self.ask(id, &at, prompts),
            ClientFrame::Decision {
                at,
                request,
                approve,
                reason,
            } => {
                let waits = self.runtime(&at).control().cloned();
                if let Some(known) = waits.filter(|known| known.id.as_str() == request) {
                    self.decide(id, &at, known, approve, reason);
                }
            }
            ClientFrame::Abort(at) => {
                let runtime = self.runtime(&at);
                runtime.cancel();
                if runtime.control().is_some() {
                    self.played.stopped.extend(at.destination());
                }
            }
            ClientFrame::Agents => drop(self.asked.insert(id, What::Agents)),
            ClientFrame::Other => {}
        }
        Ok(())
    }

    fn ask(&mut self, id: String, at: &Scope, prompts: Vec<Prompt>) {
        let mut effects = Vec::new();
        let payload = Payload::prompts(&prompts, ToolPolicy::default());
        match self.runtime(at).ask(&prompts, payload, &mut effects) {
            Ok(Some(stream)) => self.begun.push(StartedTurn {
                at: at.clone(),
                cause: Cause::AskedAgain,
                stream,
            }),
            Ok(None) => drop(self.asked.insert(id, What::Input(at.clone(), prompts))),
            Err(error) => {
                self.undone.push(format!("refused: {error}"));
                self.played.failures.push(error);
            }
        }
        self.carry_out(at, effects);
    }

    fn decide(
        &mut self,
        id: String,
        at: &Scope,
        request: ApprovalRequest,
        approve: bool,
        reason: Option<String>,
    ) {
        let Some(call) = request.calls.first().map(|call| call.id.clone()) else {
            return;
        };
        let decision = Decision {
            call,
            approve,
            reason,
        };
        let mut effects = Vec::new();
        let payload = Payload::decision(request.id.to_string(), &decision);
        match self.runtime(at).decide(&request, payload, &mut effects) {
            Ok(()) => {
                let what = What::Decision(at.clone(), request, decision);
                self.asked.insert(id, what);
            }
            Err(error) => self.played.failures.push(error),
        }
        self.carry_out(at, effects);
    }

    /// A frame of the server, on the socket that leads or on the other.
    pub(in crate::app_server) fn received(&mut self, frame: &str, lead: bool) {
        match wire::read(frame.into()) {
            Some(Inbound::ConversationEvent(at, event)) => {
                let Some(runtime) = self.runtimes.get_mut(&at) else {
                    return;
                };
                let mut effects = Vec::new();
                runtime.event(event, lead, &mut effects);
                self.carry_out(&at, effects);
            }
            Some(Inbound::Response { id, body }) => {
                let answer = ResponseBody::read(&body);
                if let (Some(what), Ok(answer)) = (self.asked.remove(&id), answer) {
                    self.answered(what, answer);
                }
            }
            None => {}
        }
    }

    fn answered(&mut self, what: What, answer: ResponseBody) {
        if !answer.is_ok() {
            let about = match &what {
                What::Start(at) | What::Input(at, _) | What::Decision(at, ..) => {
                    RequestSubject::scope(at)
                }
                What::Agents => RequestSubject::default(),
            };
            let failure = about.error_from_message(answer.error.as_deref());
            match &what {
                What::Start(at) => drop(self.runtimes.remove(at)),
                What::Input(at, _) => self.runtime(at).refused(),
                What::Decision(at, ..) => self.runtime(at).not_pending(),
                What::Agents => {}
            }
            self.played.failures.push(failure);
            return;
        }
        let mut effects = Vec::new();
        let (at, cause, stream) = match what {
            What::Agents => {
                let list = answer.agents.map(history::in_order);
                return self.played.lists.extend(list);
            }
            What::Start(at) => {
                self.runtime(&at).subscribed(&mut effects);
                return self.carry_out(&at, effects);
            }
            What::Input(at, prompts) => {
                let queued = answer.disposition.as_deref() == Some("queued");
                let stream = self.runtime(&at).accepted(queued, &mut effects);
                (at, Cause::Asked(prompts), stream)
            }
            What::Decision(at, request, decision) => {
                let stream = self.runtime(&at).decided(&request);
                (at, Cause::Decided(request, decision), stream)
            }
        };
        let begun = stream.map(|stream| StartedTurn {
            at: at.clone(),
            cause,
            stream,
        });
        self.begun.extend(begun);
        self.carry_out(&at, effects);
    }

    fn carry_out(&mut self, at: &Scope, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ExternalTurnStarted(heard) => self.begun.push(StartedTurn {
                    at: at.clone(),
                    cause: Cause::ExternalTurnStarted {
                        key: heard.key,
                        prompt: heard.prompt,
                    },
                    stream: heard.turn,
                }),
                // The client has sent them already; and nothing here takes time.
                Effect::SendInput | Effect::Decide | Effect::Wake(..) => {}
                Effect::Fork if self.copies => {
                    let runtime = self.runtimes.remove(at);
                    if let (Some(mut left), Ok(copy)) = (runtime, ConversationId::parse(COPY)) {
                        left.moved(&copy);
                    }
                }
                effect => self.undone.push(format!("{effect:?}")),
            }
        }
    }

    /// All that every stream has told so far.
    pub(super) fn into_played(mut self) -> Replay {
        let waiting = self.runtimes.iter();
        let waiting = waiting.filter(|(_, runtime)| runtime.control().is_some());
        self.played.waiting = waiting.filter_map(|(at, _)| at.destination()).collect();
        for mut begun in self.begun {
            let Some(at) = begun.at.destination() else {
                continue;
            };
            let mut items = Vec::new();
            while let Some(Some(item)) = begun.stream.next().now_or_never() {
                items.push(item);
            }
            let cause = begun.cause;
            self.played.turns.push(RecordedTurn { at, cause, items });
        }
        self.played
    }
}
