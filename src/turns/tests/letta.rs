//! A test double of Letta: answers, fails and hangs as it is told, and counts what it is asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use letta_client::{
    Agent, AgentId, ApprovalRequest, ApprovalStatus, Backend, BackendError, BackendInfo,
    Conversation, Decision, Destination, FailureKind, HistoryItem, MessageId, MissingResource,
    Prompt, Role, RunId, StopReason, ToolPolicy, TurnEvent, TurnStream,
};

pub(super) use self::fate::Fate;
use self::{
    fate::{SILENT_AFTER, call, fail, missing, request, unreachable},
    streams::{asks, events, failed, retries, text, unfinished},
};

mod fate;
mod streams;

/// See the module's documentation. Clones are one Letta.
#[derive(Clone, Default)]
pub(super) struct ScriptedLetta(Arc<Mutex<State>>);

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// Whether the conversation is lost before the next decision is heard.
    forgets: bool,
    /// Every call, by its name.
    calls: Vec<&'static str>,
    /// The texts of each prompt of each send, with who speaks.
    prompts: Vec<String>,
    /// The texts of each send that was accepted.
    accepted: Vec<Vec<String>>,
    /// Texts whose turn Letta has let fail in the stream.
    failed: Vec<String>,
    /// Calls of this kind are never answered any more, after so many of them.
    hangs: Option<(&'static str, usize)>,
    fails: Option<&'static str>,
    /// What becomes of the next calls that send nothing.
    looks: VecDeque<Fate>,
    /// Decisions are taken. Otherwise nothing waits for them.
    takes_decisions: bool,
    approved: Vec<bool>,
    /// The keys of what was said last in the conversation, as history tells.
    said_last: Vec<Option<String>>,
    /// What a run that was broken off says when it is taken up again.
    broken: Vec<(RunId, String)>,
    /// Runs that were broken off and ask when they are taken up again.
    asking: Vec<RunId>,
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

    pub(super) fn go_away(&self) {
        self.lock().away = true;
    }

    /// Who looks for a request that waits finds none.
    pub(super) fn forget_requests(&self) {
        self.lock().nothing_waits = true;
    }

    /// Calls of this kind are never answered any more, after so many of them.
    pub(super) fn hang(&self, call: &'static str, after: usize) {
        self.lock().hangs = Some((call, after));
    }

    /// Calls of this kind fail from now on.
    pub(super) fn fail_all(&self, call: &'static str) {
        self.lock().fails = Some(call);
    }

    /// The next calls that send nothing fare so.
    pub(super) fn next_looks(&self, fates: impl IntoIterator<Item = Fate>) {
        self.lock().looks.extend(fates);
    }

    /// Decisions are taken from now on.
    pub(super) fn take_decisions(&self) {
        self.lock().takes_decisions = true;
    }

    /// What people have said in the conversation, by its keys, as history tells: `None` is somebody without one.
    pub(super) fn history_is(&self, keys: impl IntoIterator<Item = Option<String>>) {
        self.lock().said_last = keys.into_iter().collect();
    }

    /// Decisions are heard; but before the first one the conversation is lost.
    pub(super) fn forget_before_decision(&self) {
        let mut state = self.lock();
        (state.forgets, state.takes_decisions) = (true, true);
        state.nothing_waits = true;
    }

    /// From now on all is well, but for what is gone.
    pub(super) fn heal(&self) {
        let mut state = self.lock();
        state.away = false;
        state.fates.clear();
        state.looks.clear();
        state.usual = None;
        state.hangs = None;
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

    /// The texts of all prompts that were sent, with who speaks.
    pub(super) fn prompts(&self) -> Vec<String> {
        self.lock().prompts.clone()
    }

    /// The texts of each send that was accepted.
    pub(super) fn accepted(&self) -> Vec<Vec<String>> {
        self.lock().accepted.clone()
    }

    /// Whether each decision let tools run.
    pub(super) fn approved(&self) -> Vec<bool> {
        self.lock().approved.clone()
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
            Fate::Asks => events([started].into_iter().chain(asks()).collect()),
            Fate::CloseAndAsks => {
                state.asking.push(run);
                events(vec![started, Err(unreachable())])
            }
            Fate::Waits => events(vec![started, Err(BackendError::ApprovalPending)]),
            Fate::Fail(kind) => {
                if !kind.pauses_agent() {
                    state.failed.extend(texts);
                }
                events(vec![started, Ok(failed(kind.clone()))])
            }
            Fate::FailLate => {
                let failure = stream::once(async {
                    tokio::time::sleep(SILENT_AFTER).await;
                    Ok(failed(FailureKind::Broken))
                });
                stream::iter(vec![started]).chain(failure).boxed()
            }
            Fate::Endless => unfinished(vec![started, said]),
            Fate::Mute => unfinished(vec![started]),
            Fate::Tool => unfinished(vec![started, Ok(TurnEvent::ToolCall(call()))]),
            Fate::Retries(waits) => {
                let end = vec![said, Ok(TurnEvent::Finished(StopReason::EndTurn))];
                retries(started, waits).chain(stream::iter(end)).boxed()
            }
            Fate::RetriesInVain(waits) => retries(started, waits).chain(stream::pending()).boxed(),
            Fate::Interrupt => {
                state.broken.push((run, answer));
                let said = Ok(text("message-1", "answer"));
                unfinished(vec![started, said, Ok(TurnEvent::Interrupted)])
            }
            _ => events(vec![
                started,
                said,
                Ok(TurnEvent::Finished(StopReason::EndTurn)),
            ]),
        }
    }

    async fn note(&self, call: &'static str) -> Result<(), BackendError> {
        let (hangs, fate) = {
            let mut state = self.lock();
            state.calls.push(call);
            let hangs = match &mut state.hangs {
                Some((hanging, 0)) => *hanging == call,
                Some((hanging, left)) if *hanging == call => {
                    *left -= 1;
                    false
                }
                _ => false,
            };
            if state.away || state.fails == Some(call) {
                return Err(unreachable());
            }
            if !hangs && state.gone && call != "agent" {
                return Err(missing(MissingResource::Agent));
            }
            let is_look = !matches!(call, "send" | "decide");
            (hangs, is_look.then(|| state.looks.pop_front()).flatten())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        match fate {
            Some(fate) => fail(&fate).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for ScriptedLetta {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        Err(BackendError::Unsupported {
            what: "say who it is",
        })
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        Ok(Vec::new())
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        self.note("agent").await?;
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
        self.note("create_conversation").await?;
        Ok(Conversation::Default)
    }

    async fn send(
        &self,
        _: &Destination,
        prompts: &[Prompt],
        _: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        self.note("send").await?;
        // Who speaks stands before what is said, where that is not known to be one person.
        let said = |prompt: &Prompt| {
            let text = prompt.text();
            text.rsplit(": ").next().unwrap_or_default().to_owned()
        };
        let texts: Vec<String> = prompts.iter().map(said).collect();
        self.lock().prompts.extend(prompts.iter().map(Prompt::text));
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
        // Of what is sent, the answer breaks off, and not the question.
        if fate != Fate::Close {
            fail(&fate).await?;
        }
        Ok(self.accept(&fate, number, texts))
    }

    async fn decide(
        &self,
        _: &Destination,
        _: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        self.note("decide").await?;
        if std::mem::take(&mut self.lock().forgets) {
            return Err(missing(MissingResource::Conversation));
        }
        let approve = decisions.iter().all(|decision| decision.approve);
        self.lock().approved.push(approve);
        if !self.lock().takes_decisions {
            return Err(BackendError::NotPending);
        }
        let said = text("message-2", "it was decided.");
        Ok(events(vec![
            Ok(said),
            Ok(TurnEvent::Finished(StopReason::EndTurn)),
        ]))
    }

    async fn pending_approval(
        &self,
        _: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        self.note("pending").await?;
        Ok((!self.lock().nothing_waits).then(request))
    }

    async fn approval_status(
        &self,
        _: &Destination,
        _: &ApprovalRequest,
    ) -> Result<ApprovalStatus, BackendError> {
        self.note("standing").await?;
        Ok(ApprovalStatus::Waits)
    }

    async fn watch(&self, _: &Destination, _: ToolPolicy) -> Result<(), BackendError> {
        self.note("watch").await
    }

    async fn resume(&self, _: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        self.note("resume").await?;
        let state = self.lock();
        if state.asking.contains(run) {
            return Ok(events(asks().into()));
        }
        let broken = state.broken.iter().find(|(broken, _)| broken == run);
        let Some((_, answer)) = broken else {
            return Err(missing(MissingResource::Run));
        };
        let started = TurnEvent::Started {
            run: run.clone(),
            resumable: true,
        };
        let all = [
            started,
            text("message-1", answer),
            TurnEvent::Finished(StopReason::EndTurn),
        ];
        Ok(events(all.map(Ok).into()))
    }

    async fn cancel(&self, _: &Destination) -> Result<bool, BackendError> {
        self.note("cancel").await?;
        Ok(true)
    }

    async fn history(&self, _: &Destination, _: usize) -> Result<Vec<HistoryItem>, BackendError> {
        self.note("history").await?;
        let item = |(number, key): (usize, &Option<String>)| HistoryItem {
            id: MessageId::parse(format!("message-{number}")).unwrap(),
            key: key.clone(),
            role: Role::User,
            text: "said".to_owned(),
            run: None,
            date: None,
        };
        Ok(self.lock().said_last.iter().enumerate().map(item).collect())
    }
}
