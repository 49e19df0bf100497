//! A test double of Letta: answers, fails and hangs as it is told, and counts what it is asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use letta_client::{
    Agent, AgentId, ApprovalRequest, Backend, BackendError, Conduct, Conversation, Decision,
    Destination, FailureKind, HistoryItem, Info, MessageId, Missing, Prompt, RunId, Stop, ToolCall,
    TurnEvent, TurnFailure, TurnStream,
};

/// After so long without an answer the real client gives a call up.
const SILENT_AFTER: Duration = Duration::from_mins(1);

/// What becomes of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is answered.
    Well,
    /// Letta fails, with this status.
    Letta(u16),
    /// A proxy answers in Letta's place, with this status.
    Proxy(u16),
    /// Letta asks to come back after so many seconds.
    Later(u64),
    /// The conversation is not known.
    ConversationGone,
    /// Nothing comes until the client gives it up.
    Hang,
    /// The answer breaks off in the middle; the run goes on and can be taken up again.
    Close,
    /// The run is named and then lost.
    LoseRun,
    /// A tool call waits for a decision, says Letta in the stream.
    Waits,
    /// The model provider refuses, in the stream.
    Fail(FailureKind),
    /// It fails inside, after a minute.
    FailLate,
    /// It is begun, and goes on until the turn is stopped.
    Endless,
    /// It is begun and says nothing.
    Mute,
    /// It is begun, and its tool does not return.
    Tool,
    /// Something else runs in the conversation.
    Busy,
    /// The connection is lost in the middle of the answer; the run can be taken up again.
    Interrupt,
    /// A tool call waits for a decision.
    Asks,
}

/// See the module's documentation. Clones are one Letta.
#[derive(Clone, Default)]
pub(super) struct ScriptedLetta(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    fates: VecDeque<Fate>,
    /// What becomes of sends when nothing else is said.
    usual: Option<Fate>,
    /// Sends with this text are answered with 500, always.
    poison: Option<String>,
    gone: bool,
    /// Nothing reaches it.
    away: bool,
    /// Nothing waits for a decision, whatever its streams say.
    nothing_waits: bool,
    /// Every call, by its name.
    calls: Vec<&'static str>,
    /// The texts of each send that was accepted.
    accepted: Vec<Vec<String>>,
    /// Texts whose turn Letta has let fail in the stream.
    failed: Vec<String>,
    /// What a run that was broken off says when it is taken up again.
    broken: Vec<(RunId, String)>,
    runs: usize,
}

impl ScriptedLetta {
    /// The next sends fare so, one after the other.
    pub(super) fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.lock().fates.extend(fates);
    }

    /// All sends fare so for which nothing else was said.
    pub(super) fn always(&self, fate: Fate) {
        self.lock().usual = Some(fate);
    }

    pub(super) fn poison(&self, text: &str) {
        self.lock().poison = Some(text.to_owned());
    }

    /// The agent is deleted.
    pub(super) fn delete_agent(&self) {
        self.lock().gone = true;
    }

    /// Nothing reaches it until it is healed.
    pub(super) fn go_away(&self) {
        self.lock().away = true;
    }

    /// Who looks for a request that waits finds none.
    pub(super) fn forget_requests(&self) {
        self.lock().nothing_waits = true;
    }

    /// From now on all is well, but for what is gone.
    pub(super) fn heal(&self) {
        let mut state = self.lock();
        state.away = false;
        state.fates.clear();
        state.usual = None;
    }

    /// How often this was called; `""`: anything.
    pub(super) fn asked(&self, call: &str) -> usize {
        let state = self.lock();
        state
            .calls
            .iter()
            .filter(|one| call.is_empty() || **one == call)
            .count()
    }

    /// How many runs were begun.
    pub(super) fn runs(&self) -> usize {
        self.lock().runs
    }

    /// Whether Letta has let the turn of this text fail in the stream.
    pub(super) fn has_failed(&self, text: &str) -> bool {
        self.lock().failed.iter().any(|failed| failed == text)
    }

    /// Whether this text was accepted.
    pub(super) fn has_accepted(&self, text: &str) -> bool {
        self.lock()
            .accepted
            .iter()
            .flatten()
            .any(|accepted| accepted == text)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What is streamed of a send that was accepted.
    fn accept(&self, fate: &Fate, number: usize, texts: Vec<String>) -> TurnStream {
        let mut state = self.lock();
        state.runs += 1;
        state.accepted.push(texts.clone());
        let run = RunId::parse(format!("run-{number}")).unwrap();
        let answer = format!("answer to {}.", texts.join(" and "));
        let started = Ok(TurnEvent::Started {
            run: run.clone(),
            resumable: true,
        });
        let said = Ok(text("message-1", &answer));
        match fate {
            Fate::Close => {
                state.broken.push((run, answer));
                events(vec![
                    started,
                    Ok(text("message-1", "answer")),
                    Err(unreachable()),
                ])
            }
            Fate::LoseRun => events(vec![started, Err(unreachable())]),
            Fate::Waits => events(vec![started, Err(BackendError::ApprovalPending)]),
            Fate::Fail(kind) => {
                if !kind.pauses_agent() {
                    state.failed.extend(texts);
                }
                let failure = TurnFailure {
                    code: "LLM_ERROR".to_owned(),
                    detail: String::new(),
                    kind: kind.clone(),
                };
                events(vec![
                    started,
                    Ok(TurnEvent::Finished(Stop::Failed(failure))),
                ])
            }
            Fate::FailLate => {
                let failure = TurnFailure {
                    code: "LLM_ERROR".to_owned(),
                    detail: String::new(),
                    kind: FailureKind::Broken,
                };
                let failed = stream::once(async {
                    tokio::time::sleep(SILENT_AFTER).await;
                    Ok(TurnEvent::Finished(Stop::Failed(failure)))
                });
                stream::iter(vec![started]).chain(failed).boxed()
            }
            Fate::Endless => unfinished(vec![started, said]),
            Fate::Mute => unfinished(vec![started]),
            Fate::Tool => unfinished(vec![started, Ok(TurnEvent::ToolCall(call()))]),
            Fate::Interrupt => {
                state.broken.push((run, answer));
                let said = Ok(text("message-1", "answer"));
                unfinished(vec![started, said, Ok(TurnEvent::Interrupted)])
            }
            Fate::Asks => events(vec![
                started,
                Ok(TurnEvent::Approval(request())),
                Ok(TurnEvent::Finished(Stop::NeedsApproval)),
            ]),
            _ => events(vec![started, said, Ok(TurnEvent::Finished(Stop::EndTurn))]),
        }
    }

    fn note(&self, call: &'static str) -> Result<(), BackendError> {
        let mut state = self.lock();
        state.calls.push(call);
        if state.away {
            return Err(unreachable());
        }
        if state.gone && call != "agent" {
            return Err(missing(Missing::Agent));
        }
        Ok(())
    }
}

fn missing(missing: Missing) -> BackendError {
    BackendError::NotFound {
        missing,
        what: "it".to_owned(),
    }
}

fn unreachable() -> BackendError {
    BackendError::Unreachable {
        url: "http://letta.test".to_owned(),
        source: "the connection broke".into(),
    }
}

fn text(message: &str, delta: &str) -> TurnEvent {
    TurnEvent::Text {
        message: MessageId::parse(message).unwrap(),
        delta: delta.to_owned(),
    }
}

fn events(items: Vec<Result<TurnEvent, BackendError>>) -> TurnStream {
    stream::iter(items).boxed()
}

/// The same without an end.
fn unfinished(items: Vec<Result<TurnEvent, BackendError>>) -> TurnStream {
    stream::iter(items).chain(stream::pending()).boxed()
}

fn call() -> ToolCall {
    ToolCall {
        id: "call-1".parse().unwrap(),
        name: "launch".to_owned(),
        arguments: "{}".to_owned(),
    }
}

fn request() -> ApprovalRequest {
    ApprovalRequest {
        id: MessageId::parse("message-9").unwrap(),
        calls: vec![call()],
    }
}

#[async_trait]
impl Backend for ScriptedLetta {
    async fn info(&self) -> Result<Info, BackendError> {
        Err(BackendError::Unsupported {
            what: "say who it is",
        })
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        Ok(Vec::new())
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        self.note("agent")?;
        let agent = Agent {
            id: id.clone(),
            name: "Ada".to_owned(),
            description: None,
            tags: Vec::new(),
            model: None,
        };
        Ok((!self.lock().gone).then_some(agent))
    }

    async fn create_conversation(
        &self,
        _: &AgentId,
        _: &str,
    ) -> Result<Conversation, BackendError> {
        self.note("create_conversation")?;
        Ok(Conversation::Default)
    }

    async fn send(
        &self,
        _: &Destination,
        prompts: &[Prompt],
        _: Conduct,
    ) -> Result<TurnStream, BackendError> {
        self.note("send")?;
        // Who speaks stands before what is said, where that is not known to be one person.
        let said = |prompt: &Prompt| {
            prompt
                .text
                .rsplit(": ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let texts: Vec<String> = prompts.iter().map(said).collect();
        let (fate, number) = {
            let mut state = self.lock();
            let poisoned = state
                .poison
                .as_ref()
                .is_some_and(|poison| texts.contains(poison));
            let usual = state.usual.clone().unwrap_or(Fate::Well);
            let fate = match state.fates.pop_front() {
                _ if poisoned => Fate::Letta(500),
                fate => fate.unwrap_or(usual),
            };
            (fate, state.runs)
        };
        let status = |status| BackendError::ServerError {
            status,
            detail: String::new(),
            retry_after: None,
        };
        match fate {
            Fate::Letta(code) => return Err(status(code)),
            Fate::Proxy(status) => {
                return Err(BackendError::NotLetta {
                    status,
                    detail: String::new(),
                    retry_after: None,
                });
            }
            Fate::Later(seconds) => {
                let retry_after = Some(Duration::from_secs(seconds));
                return Err(BackendError::RateLimited { retry_after });
            }
            Fate::Busy => return Err(BackendError::Busy { run: None }),
            Fate::ConversationGone => return Err(missing(Missing::Conversation)),
            Fate::Hang => {
                tokio::time::sleep(SILENT_AFTER).await;
                return Err(BackendError::Silent {
                    after: SILENT_AFTER,
                });
            }
            _ => {}
        }
        Ok(self.accept(&fate, number, texts))
    }

    async fn decide(
        &self,
        _: &Destination,
        _: &ApprovalRequest,
        _: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        self.note("decide")?;
        Err(BackendError::NotPending)
    }

    async fn pending(&self, _: &Destination) -> Result<Option<ApprovalRequest>, BackendError> {
        self.note("pending")?;
        Ok((!self.lock().nothing_waits).then(request))
    }

    async fn resume(&self, _: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        self.note("resume")?;
        let state = self.lock();
        let broken = state.broken.iter().find(|(broken, _)| broken == run);
        let Some((_, answer)) = broken else {
            return Err(missing(Missing::Run));
        };
        let started = TurnEvent::Started {
            run: run.clone(),
            resumable: true,
        };
        let all = [
            started,
            text("message-1", answer),
            TurnEvent::Finished(Stop::EndTurn),
        ];
        Ok(events(all.map(Ok).into()))
    }

    async fn cancel(&self, _: &Destination) -> Result<bool, BackendError> {
        self.note("cancel")?;
        Ok(true)
    }

    async fn history(&self, _: &Destination, _: usize) -> Result<Vec<HistoryItem>, BackendError> {
        self.note("history")?;
        Ok(Vec::new())
    }
}
