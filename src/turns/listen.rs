//! Listening to Letta until a chapter of a turn is told, within the turn's budget.
//!
//! Each round asks once: is the agent there, is the budget spent, is the agent paused, is there a place for one more stream; then
//! the stream is opened and read. What a failure leads to is in `after`. Whatever a round waits for, that the turn or the process
//! shall end is heard, and the room is told why it waits (see `attend`).

use futures_util::StreamExt;
use letta_client::{ApprovalRequest, BackendError, Stop, TurnEvent, TurnFailure, TurnStream};
use tokio::{
    sync::{AcquireError, SemaphorePermit},
    time::Instant,
};
use tracing::warn;

use super::{
    Inner,
    attend::{Attended, STOP_PATIENCE},
    budget::{self, Exhausted},
    notice::{TELL_AFTER, Wait},
    pauses::Try,
    stage::Stage,
    typing::Typing,
    words,
};
use crate::journal::{Answer, JournalError, TurnRecord};

/// Why a step of a turn did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Letta(#[from] BackendError),
    #[error("a turn of somebody else went on while nobody listened")]
    Missed,
    #[error("the turn's budget is spent: {0:?}")]
    Exhausted(Exhausted),
}

/// What came of listening.
pub(super) enum Outcome {
    /// The chapter was told.
    Told(Told),
    /// There is no answer, and there will be none: why, for people, and the code of it.
    Failed((String, String)),
    /// Nothing more is to be said at all: the answer was redacted.
    Redacted,
    /// The process is about to end; the turn goes on in the next one.
    Ending,
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

/// How reading a stream ended.
enum Read {
    Everything(Stop, Option<ApprovalRequest>),
    Broken(BackendError),
    Redacted,
    Ending,
}

/// One round: what is known of the next question to Letta.
enum Round {
    /// It may be asked.
    Ask(Option<Try>),
    /// It is not asked: this comes of listening.
    Over(Outcome),
}

impl Inner {
    /// Listens until a chapter is told, or will not be.
    pub(super) async fn hear(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut again: bool,
    ) -> Result<Outcome, JournalError> {
        let mut wait = Wait::begin(turn);
        let mut last = None;
        loop {
            let attempt = match self.round(turn, stage, &mut wait, last.as_ref()).await? {
                Round::Ask(attempt) => attempt,
                Round::Over(outcome) => return self.over(turn, stage, &wait, outcome).await,
            };
            let place = self.attend_wait(turn, stage, &wait, None, self.streams.acquire());
            let place = match place.await? {
                Attended::Done(place) => place,
                Attended::Stopped => return self.stopped_waiting(turn, stage, &wait).await,
                Attended::Ending => return Ok(Outcome::Ending),
            };
            let began = Instant::now();
            let failure = match self
                .listen_once(turn, stage, &mut wait, (again, place))
                .await?
            {
                Ok(outcome) => return self.over(turn, stage, &wait, outcome).await,
                Err(failure) => failure,
            };
            match &failure {
                Trouble::NotOpened(_) => budget::add_wait(&mut turn.spent, began.elapsed()),
                Trouble::Broken(_) | Trouble::Inside(..) => {
                    wait.restart(stage.notice.is_open());
                }
            }
            let next = self.after(turn, stage, &mut wait, failure).await?;
            // Not before it is decided whether the pause goes on.
            drop(attempt);
            match next {
                Next::Ask { sent } => again = sent,
                Next::Over(outcome) => return self.over(turn, stage, &wait, outcome).await,
                Next::Wait(failure) => {
                    again = true;
                    match self
                        .wait_for_letta(turn, stage, &mut wait, &failure)
                        .await?
                    {
                        Attended::Done(()) => last = Some(failure),
                        Attended::Stopped => return self.stopped_waiting(turn, stage, &wait).await,
                        Attended::Ending => return Ok(Outcome::Ending),
                    }
                }
            }
        }
    }

    /// Whether Letta is asked (once more): waits while the agent is paused.
    async fn round(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        last: Option<&BackendError>,
    ) -> Result<Round, JournalError> {
        loop {
            if self.is_known_gone(&turn.key.agent)? {
                return Ok(Round::Over(Outcome::Failed(words::agent_gone(
                    stage.has_spoken(),
                ))));
            }
            if let Err(exhausted) = budget::check(&turn.spent) {
                return Ok(Round::Over(Outcome::Failed(words::exhausted(
                    exhausted, last,
                ))));
            }
            match self.wait_while_paused(turn, stage, wait).await? {
                Attended::Done(Some(attempt)) => return Ok(Round::Ask(attempt)),
                Attended::Done(None) => {}
                Attended::Stopped => {
                    let outcome = Told::end(stage.reply.text(), Some(words::stopped()));
                    return Ok(Round::Over(Outcome::Told(outcome)));
                }
                Attended::Ending => return Ok(Round::Over(Outcome::Ending)),
            }
        }
    }

    /// Listening is over; if the room was told that it waits, it is told that it does not any more.
    async fn over(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
        outcome: Outcome,
    ) -> Result<Outcome, JournalError> {
        if !matches!(outcome, Outcome::Ending) {
            let in_vain =
                !stage.has_spoken() && !matches!(&outcome, Outcome::Told(told) if told.has_news());
            self.end_wait(turn, stage, wait, in_vain).await?;
        }
        Ok(outcome)
    }

    async fn stopped_waiting(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
    ) -> Result<Outcome, JournalError> {
        let told = Told::end(stage.reply.text(), Some(words::stopped()));
        self.over(turn, stage, wait, Outcome::Told(told)).await
    }

    /// Opens one stream and reads it to its end.
    async fn listen_once(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        (again, _place): (bool, Result<SemaphorePermit<'_>, AcquireError>),
    ) -> Result<Result<Outcome, Trouble>, JournalError> {
        let shared = !stage.voice.mentions.is_empty();
        let _typing = Typing::start(
            self.around.homeserver.clone(),
            stage.voice.ghost.clone(),
            turn.key.room.clone(),
            &self.around.tasks,
        );
        let snapshot = turn.clone();
        let opened = self.attend_step(&snapshot, stage, wait, self.open(turn, shared, again));
        let stream = match opened.await? {
            Attended::Done(Ok(stream)) => stream,
            Attended::Done(Err(Failure::Journal(failure))) => return Err(failure),
            Attended::Done(Err(Failure::Letta(failure))) => {
                return Ok(Err(Trouble::NotOpened(failure)));
            }
            Attended::Done(Err(Failure::Missed)) => {
                let told = Told::end(stage.reply.text(), Some(words::missed()));
                return Ok(Ok(Outcome::Told(told)));
            }
            Attended::Done(Err(Failure::Exhausted(exhausted))) => {
                return Ok(Ok(Outcome::Failed(words::exhausted(exhausted, None))));
            }
            Attended::Stopped => {
                let told = Told::end(stage.reply.text(), Some(words::stopped()));
                return Ok(Ok(Outcome::Told(told)));
            }
            Attended::Ending => return Ok(Ok(Outcome::Ending)),
        };
        stage.note_wait(turn);
        match self.read_unless_stopped(turn, stage, wait, stream).await? {
            Read::Everything(Stop::Failed(failure), request) => {
                Ok(Err(failed_inside(turn, stage, failure, request)))
            }
            Read::Everything(stop, request) => {
                if stop != Stop::Cancelled {
                    self.pauses.lift(&turn.key.agent)?;
                }
                stage.note_end(&stop);
                Ok(Ok(Outcome::Told(told(stage, &stop, request))))
            }
            Read::Broken(failure) => {
                stage.restart();
                Ok(Err(Trouble::Broken(failure)))
            }
            Read::Redacted => Ok(Ok(Outcome::Redacted)),
            Read::Ending => Ok(Ok(Outcome::Ending)),
        }
    }

    /// Reads one stream. Who wanted the turn to stop before there was anything to stop is heard now.
    async fn read_unless_stopped(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        stream: TurnStream,
    ) -> Result<Read, JournalError> {
        if self.stops.is_wanted(&turn.id) {
            self.cancel(&turn.key);
        }
        self.read(turn, stage, wait, stream).await
    }

    /// Reads one stream and shows what it says.
    async fn read(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        mut stream: TurnStream,
    ) -> Result<Read, JournalError> {
        let (mut request, mut tell_at) = (None, None);
        let id = turn.id.clone();
        let stopped = async {
            self.stops.wanted(&id).await;
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        let redacted = self.stops.redacted(&id);
        tokio::pin!(stopped, redacted);
        loop {
            let wake_at = stage.next_show();
            tokio::select! {
                biased;
                () = &mut redacted => return Ok(Read::Redacted),
                item = stream.next() => match item {
                    Some(Ok(TurnEvent::Finished(stop))) => return Ok(Read::Everything(stop, request)),
                    Some(Ok(TurnEvent::Interrupted)) => {
                        wait.lost();
                        tell_at = Some(Instant::now() + TELL_AFTER);
                    }
                    Some(Ok(TurnEvent::Retrying { kind, delay })) => {
                        wait.retrying(&kind, delay);
                        let known = wait.tell_at(Some(Instant::now() + delay));
                        tell_at = Some(tell_at.map_or(known, |at: Instant| at.min(known)));
                    }
                    Some(Ok(event)) => {
                        // A run that has begun may fail at once; only words and deeds end a wait.
                        if !matches!(event, TurnEvent::Started { .. } | TurnEvent::Discard { .. }) {
                            tell_at = None;
                            self.end_wait(turn, stage, wait, false).await?;
                            wait.answered();
                            stage.note_wait(turn);
                        }
                        match event {
                            TurnEvent::Approval(asked) => request = Some(asked),
                            event => self.take_in(turn, stage, &event).await?,
                        }
                    }
                    Some(Err(failure)) => return Ok(Read::Broken(failure)),
                    None => return Ok(Read::Broken(BackendError::Protocol {
                        detail: "a stream ended without an end".to_owned(),
                    })),
                },
                sent = stage.answer.answered() => stage.edited(sent?),
                sent = stage.line.answered() => stage.line_edited(sent?),
                confirmed = stage.notice.confirmed() => {
                    confirmed?;
                    self.finish_notice(turn, stage).await?;
                    stage.note_wait(turn);
                }
                () = sleep_until(tell_at) => {
                    tell_at = None;
                    self.tell_wait(turn, stage, wait).await?;
                    stage.note_wait(turn);
                    self.around.journal.update_turn(turn)?;
                }
                () = sleep_until(wake_at) => self.show(turn, stage).await?,
                () = &mut stopped => return Ok(Read::Everything(Stop::Cancelled, None)),
                () = self.around.tasks.stopping() => return Ok(Read::Ending),
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
        if matches!(event, TurnEvent::Text { .. } | TurnEvent::ToolCall(_)) {
            // The model answers, whatever stood in its way.
            self.pauses.lift(&turn.key.agent)?;
        }
        stage.apply(event);
        Ok(())
    }
}

/// What went wrong with one question.
pub(super) enum Trouble {
    /// There was no stream.
    NotOpened(BackendError),
    /// The stream broke.
    Broken(BackendError),
    /// Letta has told the failure in the stream, and this is what there is to say.
    Inside(TurnFailure, Told),
}

/// What to do after trouble.
pub(super) enum Next {
    /// Ask again; `sent`: what was sent may have arrived.
    Ask { sent: bool },
    /// Ask again later.
    Wait(BackendError),
    /// Do not ask again.
    Over(Outcome),
}

impl Told {
    /// A request that waits instead of what was to be heard.
    pub(super) fn instead(request: ApprovalRequest, found: bool) -> Self {
        Self {
            answer: Answer::default(),
            request: Some(request),
            found,
        }
    }

    /// The last chapter.
    pub(super) fn end(text: String, remark: Option<String>) -> Self {
        Self {
            answer: Answer { text, remark },
            request: None,
            found: false,
        }
    }

    fn has_news(&self) -> bool {
        !self.answer.text.is_empty() || self.request.is_some()
    }
}

/// Letta has said in the stream that the turn failed.
fn failed_inside(
    turn: &TurnRecord,
    stage: &mut Stage,
    failure: TurnFailure,
    request: Option<ApprovalRequest>,
) -> Trouble {
    warn!(
        turn.id = %turn.id, agent.id = %turn.key.agent, code = failure.code, detail = failure.detail,
        "a turn failed inside Letta"
    );
    let stop = Stop::Failed(failure.clone());
    stage.note_end(&stop);
    Trouble::Inside(failure, told(stage, &stop, request))
}

/// A chapter whose stream has come to its end.
fn told(stage: &Stage, stop: &Stop, request: Option<ApprovalRequest>) -> Told {
    let mut answer = stage.reply.answer(stop);
    if *stop == Stop::NeedsApproval && request.is_none() {
        answer.remark = Some(words::needs_approval());
    } else if *stop == Stop::NeedsApproval && !stage.dropped.is_empty() {
        answer.remark = Some(words::calls_dropped(&stage.dropped));
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
