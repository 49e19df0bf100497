//! Listening to Letta until a chapter of a turn is told, whatever it takes.

use std::time::Duration;

use futures_util::StreamExt;
use letta_client::{
    Advice, ApprovalRequest, BackendError, Conversation, Stop, TurnEvent, TurnStream,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Inner, say::Voice, stage::Stage, typing::Typing, words};
use crate::journal::{Answer, JournalError, TurnRecord};

/// The wait before Letta is asked again; it doubles each time.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest wait before Letta is asked again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(30);
/// How many attempts fail before the room is told that its message waits.
const TELL_AFTER_ATTEMPTS: u32 = 3;
/// How often the stream of one chapter may break before the turn is given up.
const BREAKS_MAX: u32 = 8;
/// How long a turn that was stopped may take to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a step of a turn did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Letta(#[from] BackendError),
    #[error("a turn of somebody else went on while nobody listened")]
    Missed,
}

/// A chapter as it was told.
pub(super) struct Told {
    /// What there is to say at its end.
    pub(super) answer: Answer,
    /// What a person has to decide before the next one.
    pub(super) request: Option<ApprovalRequest>,
    /// Whether the request was found instead of what was to be heard.
    pub(super) found: bool,
}

/// How listening to a stream ended.
enum Heard {
    Everything(Told),
    Broken(BackendError),
    /// The process is about to end; the turn goes on in the next one.
    Stopping,
}

/// What to do after a failure.
enum Next {
    /// Ask again; `true`: what was sent may have arrived.
    Ask(bool),
    Wait,
    Tell(Told),
    GiveUp,
}

/// What was tried so far.
#[derive(Default)]
struct Tried {
    attempts: u32,
    breaks: u32,
    forgot: bool,
}

impl Inner {
    /// Listens until a chapter is told. `None`: the process is about to end.
    pub(super) async fn hear(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut again: bool,
    ) -> Result<Option<Told>, JournalError> {
        let mut tried = Tried::default();
        let voice = stage.voice.clone();
        let shared = !voice.mentions.is_empty();
        loop {
            let typing = Typing::start(
                self.around.homeserver.clone(),
                voice.ghost.clone(),
                turn.key.room.clone(),
                &self.around.tasks,
            );
            // Before Letta is asked: an open stream that nobody reads holds Letta back. The semaphore is never closed.
            let _place = tokio::select! {
                biased;
                place = self.streams.acquire() => place,
                () = self.stops.wanted(&turn.id) => {
                    return Ok(Some(Told::end(stage.reply.text(), Some(words::stopped()))));
                }
                () = self.around.tasks.closing() => return Ok(None),
            };
            let failure = match self.open(turn, shared, again).await {
                Err(Failure::Journal(failure)) => return Err(failure),
                Err(Failure::Missed) => {
                    let remark = Some(words::missed());
                    return Ok(Some(Told::end(stage.reply.text(), remark)));
                }
                Err(Failure::Letta(failure)) => failure,
                Ok(stream) => match self.follow_unless_stopped(turn, stage, stream).await? {
                    Heard::Everything(told) => return Ok(Some(told)),
                    Heard::Stopping => return Ok(None),
                    Heard::Broken(failure) => {
                        tried.breaks += 1;
                        stage.restart();
                        failure
                    }
                },
            };
            drop(typing);
            match self.after(turn, &failure, &mut tried).await? {
                Next::Ask(sent) => again = sent,
                Next::Tell(told) => return Ok(Some(told)),
                Next::GiveUp => {
                    warn!(
                        turn.id = %turn.id, agent.id = %turn.key.agent, code = failure.code(),
                        error = &failure as &dyn std::error::Error, detail = detail_of(&failure),
                        "a turn failed"
                    );
                    let remark = Some(words::refused(&failure));
                    return Ok(Some(Told::end(stage.reply.text(), remark)));
                }
                Next::Wait => {
                    again = true;
                    tried.attempts += 1;
                    let wait = self.wait_for_letta(turn, &voice, &failure, tried.attempts);
                    tokio::select! {
                        go_on = wait => if !go_on? { return Ok(None) },
                        () = self.stops.wanted(&turn.id) => {
                            return Ok(Some(Told::end(stage.reply.text(), Some(words::stopped()))));
                        }
                    }
                }
            }
        }
    }

    /// What to do after Letta has failed.
    async fn after(
        &self,
        turn: &mut TurnRecord,
        failure: &BackendError,
        tried: &mut Tried,
    ) -> Result<Next, JournalError> {
        let journal = &self.around.journal;
        let unknown = matches!(failure, BackendError::NotFound { .. });
        if unknown && turn.run.take().is_some() {
            // Letta has lost the run; the prompts are sent again.
            return Ok(Next::Ask(false));
        }
        if unknown && !tried.forgot && journal.conversation(&turn.key)?.is_some() {
            journal.forget_conversation(&turn.key)?;
            tried.forgot = true;
            let lost = self
                .voice(turn)
                .remark(turn, "lost", &words::conversation_lost());
            self.around.outbox.say(&lost).await?;
            return Ok(Next::Ask(true));
        }
        if tried.breaks >= BREAKS_MAX {
            return Ok(Next::GiveUp);
        }
        match failure {
            BackendError::Moved { to } => {
                tried.breaks += 1;
                // Its run stays behind.
                turn.run = None;
                journal.set_conversation(&turn.key, &Conversation::Own(to.clone()))?;
                journal.durable().await?;
                Ok(Next::Ask(false))
            }
            BackendError::ApprovalPending => {
                tried.breaks += 1;
                if let Some(request) = self.find_pending(turn).await? {
                    return Ok(Next::Tell(Told::instead(request, true)));
                }
                turn.turn_the_page();
                turn.sent_in = None;
                journal.update_turn(turn)?;
                Ok(Next::Wait)
            }
            BackendError::RunDied { .. } => {
                tried.breaks += 1;
                turn.run = None;
                if turn.decided().is_some() {
                    // The tool may have run, so it is not asked for again.
                    let remark = Some(words::broke_off());
                    return Ok(Next::Tell(Told::end(String::new(), remark)));
                }
                turn.renew_keys();
                self.keep(turn).await?;
                Ok(Next::Ask(false))
            }
            BackendError::NotPending | BackendError::Forgotten { .. } => {
                tried.breaks += 1;
                self.decided_on_nothing(turn, failure).await
            }
            other if matches!(other.advice(), Advice::Refuse | Advice::Fatal) => Ok(Next::GiveUp),
            _ => Ok(Next::Wait),
        }
    }

    /// What to do when nothing waits for what was decided.
    async fn decided_on_nothing(
        &self,
        turn: &mut TurnRecord,
        failure: &BackendError,
    ) -> Result<Next, JournalError> {
        let forgotten = matches!(failure, BackendError::Forgotten { .. });
        // V1 names a run before it refuses a decision inside the stream.
        turn.run = None;
        if self.follow_outside_decision(turn).await? {
            return Ok(Next::Ask(true));
        }
        if let Some(ask) = &mut turn.ask {
            ask.forgotten = forgotten;
        }
        // Letta may have begun anew and ask the same again under another name. A decision on
        // something else is not taken for one on this.
        if let Some(request) = self.find_pending(turn).await? {
            let found = turn.ask.as_ref().is_none_or(|ask| ask.found);
            return Ok(Next::Tell(Told::instead(request, found)));
        }
        match turn.ask.as_ref().filter(|ask| !ask.found) {
            // Nobody wants it any more.
            Some(ask) if ask.is_stopped() => Ok(Next::Tell(Told::end(String::new(), None))),
            Some(_) if forgotten && !turn.prompts.is_empty() => {
                self.keep(turn).await?;
                Ok(Next::Ask(false))
            }
            // It was ours that came through, and its stream was lost.
            Some(ask) if !forgotten && !ask.untold => {
                Ok(Next::Tell(Told::end(String::new(), Some(words::cut_off()))))
            }
            _ => Ok(Next::GiveUp),
        }
    }

    /// Waits before Letta is asked again, and tells the room once. `false`: the process is about to
    /// end.
    async fn wait_for_letta(
        &self,
        turn: &TurnRecord,
        voice: &Voice,
        failure: &BackendError,
        attempts: u32,
    ) -> Result<bool, JournalError> {
        debug!(turn.id = %turn.id, attempts, error = %failure, "Letta is asked again later");
        if attempts == TELL_AFTER_ATTEMPTS {
            info!(turn.id = %turn.id, code = failure.code(), "a message waits for Letta");
            let waiting = words::waiting(failure);
            let remark = voice.remark(turn, "waiting", &waiting);
            self.around.outbox.say(&remark).await?;
        }
        let mut wait = ASK_AGAIN_MIN
            .saturating_mul(1 << attempts.min(10))
            .min(ASK_AGAIN_MAX);
        if let BackendError::RateLimited {
            retry_after: Some(retry_after),
        } = failure
        {
            wait = (*retry_after).max(wait);
        }
        let mut returns = self.around.letta_returns.clone();
        returns.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(true),
            Ok(()) = returns.changed() => Ok(true),
            () = self.around.tasks.closing() => Ok(false),
        }
    }

    /// Listens to one stream. Who wanted the turn to stop before there was anything to stop is
    /// heard now.
    async fn follow_unless_stopped(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        stream: TurnStream,
    ) -> Result<Heard, JournalError> {
        if self.stops.is_wanted(&turn.id)
            && let Some(destination) = self.known_destination(&turn.key)?
            && let Err(failure) = self.around.backend.cancel(&destination).await
        {
            debug!(turn.id = %turn.id, error = %failure, "Letta was not told to stop");
        }
        self.follow(turn, stage, stream).await
    }

    /// Listens to one stream and shows what it says.
    async fn follow(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut stream: TurnStream,
    ) -> Result<Heard, JournalError> {
        let mut request = None;
        let id = turn.id.clone();
        let stopped = async {
            self.stops.wanted(&id).await;
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        tokio::pin!(stopped);
        loop {
            let wake_at = stage.next_show();
            tokio::select! {
                item = stream.next() => match item {
                    Some(Ok(TurnEvent::Finished(stop))) => {
                        return Ok(Heard::Everything(told(stage, &stop, request)));
                    }
                    Some(Ok(TurnEvent::Approval(asked))) => request = Some(asked),
                    Some(Ok(event)) => self.take_in(turn, stage, &event).await?,
                    Some(Err(failure)) => return Ok(Heard::Broken(failure)),
                    None => return Ok(Heard::Broken(BackendError::Protocol {
                        detail: "a stream ended without an end".to_owned(),
                    })),
                },
                sent = stage.answer.answered() => stage.edited(sent?),
                sent = stage.line.answered() => stage.line_edited(sent?),
                () = sleep_until(wake_at) => self.show(turn, stage).await?,
                () = &mut stopped => {
                    return Ok(Heard::Everything(told(stage, &Stop::Cancelled, None)));
                }
                () = self.around.tasks.stopping() => return Ok(Heard::Stopping),
            }
        }
    }

    async fn take_in(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        event: &TurnEvent,
    ) -> Result<(), JournalError> {
        if let TurnEvent::Started { run, .. } = event
            && turn.run.as_ref() != Some(run)
        {
            turn.run = Some(run.clone());
            self.keep(turn).await?;
        }
        stage.apply(event);
        Ok(())
    }
}

impl Told {
    /// A request that waits instead of what was to be heard.
    fn instead(request: ApprovalRequest, found: bool) -> Self {
        Self {
            answer: Answer::default(),
            request: Some(request),
            found,
        }
    }

    /// The last chapter.
    fn end(text: String, remark: Option<String>) -> Self {
        Self {
            answer: Answer { text, remark },
            request: None,
            found: false,
        }
    }
}

/// A chapter whose stream has come to its end.
fn told(stage: &Stage, stop: &Stop, request: Option<ApprovalRequest>) -> Told {
    let mut answer = stage.reply.answer(stop);
    if *stop == Stop::NeedsApproval && request.is_none() {
        answer.remark = Some(words::needs_approval());
    }
    Told {
        answer,
        request: request.filter(|_| *stop == Stop::NeedsApproval),
        found: false,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What Letta said in its own words: for the log, never for a room.
fn detail_of(failure: &BackendError) -> &str {
    match failure {
        BackendError::Refused { detail, .. }
        | BackendError::ServerError { detail, .. }
        | BackendError::NotLetta { detail, .. }
        | BackendError::Protocol { detail } => detail,
        _ => "",
    }
}
