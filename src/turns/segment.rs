//! Listening to Letta until a segment of a turn is told, within the turn's budget.
//!
//! Each round asks once: is the agent there, is the budget spent, is the agent paused, is there a place for one more stream; then
//! the stream is opened and read. What a failure leads to is in `retry`. Whatever a round waits for, that the turn or the process
//! shall end is heard, and the room is told why it waits (see `interruptible`).

use super::{
    Inner,
    budget::{self, Exhausted},
    interruptible::{STOP_GRACE, WaitOutcome},
    notice_texts,
    pauses::TrialRequest,
    turn_view::TurnView,
    typing::Typing,
    wait_notice::{TELL_AFTER, Wait},
};
use crate::journal::{JournalError, NoticeText, TurnRecord};
use futures_util::StreamExt;
use letta_client::{ApprovalRequest, BackendError, StopReason, TurnEvent, TurnFailure, TurnStream};
use tokio::{
    sync::{AcquireError, SemaphorePermit},
    time::Instant,
};

mod result;

pub(super) use result::SegmentResult;
use result::{reported_failure, segment_result};

/// Why a step of a turn did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Letta(#[from] BackendError),
    #[error("external turn was missed: no subscriber")]
    Missed,
    #[error("the turn's budget is spent: {0:?}")]
    Exhausted(Exhausted),
}

/// What came of listening.
pub(super) enum SegmentOutcome {
    /// The segment was told.
    Completed(SegmentResult),
    /// There is no answer, and there will be none: why, for people, and the code of it.
    Failed(NoticeText),
    /// Nothing more is to be said at all: the answer was redacted.
    Redacted,
    /// The process is about to end; the turn goes on in the next one.
    ShuttingDown,
}

/// How reading a stream ended.
enum StreamEnd {
    Everything(StopReason, Option<ApprovalRequest>),
    Broken(BackendError),
    Redacted,
    ShuttingDown,
}

/// One round: what is known of the next question to Letta.
enum AttemptCheck {
    /// It may be asked.
    Proceed(Option<TrialRequest>),
    /// It is not asked: this comes of listening.
    Over(SegmentOutcome),
}

impl Inner {
    /// Listens until a segment is told, or will not be.
    pub(super) async fn stream_segment(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        mut again: bool,
    ) -> Result<SegmentOutcome, JournalError> {
        let mut wait = Wait::begin(turn);
        let mut last = None;
        loop {
            let attempt = match self
                .check_attempt(turn, view, &mut wait, last.as_ref())
                .await?
            {
                AttemptCheck::Proceed(attempt) => attempt,
                AttemptCheck::Over(outcome) => {
                    return self.finish_wait(turn, view, &wait, outcome).await;
                }
            };
            let place = self.wait_interruptible(turn, view, &wait, None, self.streams.acquire());
            let place = match place.await? {
                WaitOutcome::Done(place) => place,
                WaitOutcome::Stopped => return self.stopped_while_waiting(turn, view, &wait).await,
                WaitOutcome::ShuttingDown => return Ok(SegmentOutcome::ShuttingDown),
            };
            let began = Instant::now();
            let failure = match self
                .run_attempt(turn, view, &mut wait, (again, place))
                .await?
            {
                Ok(outcome) => return self.finish_wait(turn, view, &wait, outcome).await,
                Err(failure) => failure,
            };
            match &failure {
                AttemptError::NotOpened(_) => budget::add_wait(&mut turn.spent, began.elapsed()),
                AttemptError::Broken(_) | AttemptError::Inside(..) => {
                    wait.restart(view.notice.is_open());
                }
            }
            let next = self.next_action(turn, view, &mut wait, failure).await?;
            // Not before it is decided whether the pause goes on.
            drop(attempt);
            match next {
                RetryAction::AskAgain { sent } => again = sent,
                RetryAction::Over(outcome) => {
                    return self.finish_wait(turn, view, &wait, outcome).await;
                }
                RetryAction::Wait(failure) => {
                    again = true;
                    match self.wait_for_letta(turn, view, &mut wait, &failure).await? {
                        WaitOutcome::Done(()) => last = Some(failure),
                        WaitOutcome::Stopped => {
                            return self.stopped_while_waiting(turn, view, &wait).await;
                        }
                        WaitOutcome::ShuttingDown => return Ok(SegmentOutcome::ShuttingDown),
                    }
                }
            }
        }
    }

    /// Whether Letta is asked (once more): waits while the agent is paused.
    async fn check_attempt(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        last: Option<&BackendError>,
    ) -> Result<AttemptCheck, JournalError> {
        loop {
            if self.is_known_gone(&turn.key.agent)? {
                return Ok(AttemptCheck::Over(SegmentOutcome::Failed(
                    notice_texts::agent_gone(view.has_spoken()),
                )));
            }
            if let Err(exhausted) = budget::check(&turn.spent) {
                return Ok(AttemptCheck::Over(SegmentOutcome::Failed(
                    notice_texts::exhausted(exhausted, last),
                )));
            }
            match self.wait_while_paused(turn, view, wait).await? {
                WaitOutcome::Done(Some(attempt)) => {
                    return Ok(AttemptCheck::Proceed(attempt));
                }
                WaitOutcome::Done(None) => {}
                WaitOutcome::Stopped => {
                    let outcome =
                        SegmentResult::end(view.reply.text(), Some(notice_texts::stopped()));
                    return Ok(AttemptCheck::Over(SegmentOutcome::Completed(outcome)));
                }
                WaitOutcome::ShuttingDown => {
                    return Ok(AttemptCheck::Over(SegmentOutcome::ShuttingDown));
                }
            }
        }
    }

    /// Listening is over; if the room was told that it waits, it is told that it does not any more.
    async fn finish_wait(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        outcome: SegmentOutcome,
    ) -> Result<SegmentOutcome, JournalError> {
        if !matches!(outcome, SegmentOutcome::ShuttingDown) {
            let in_vain = !view.has_spoken()
                && !matches!(&outcome, SegmentOutcome::Completed(result) if result.has_news());
            self.end_wait(turn, view, wait, in_vain).await?;
        }
        Ok(outcome)
    }

    async fn stopped_while_waiting(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
    ) -> Result<SegmentOutcome, JournalError> {
        let result = SegmentResult::end(view.reply.text(), Some(notice_texts::stopped()));
        self.finish_wait(turn, view, wait, SegmentOutcome::Completed(result))
            .await
    }

    /// Opens one stream and reads it to its end.
    async fn run_attempt(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        (again, _place): (bool, Result<SemaphorePermit<'_>, AcquireError>),
    ) -> Result<Result<SegmentOutcome, AttemptError>, JournalError> {
        let shared = !view.builder.mentions.is_empty();
        let _typing = Typing::start(
            self.ctx.homeserver.clone(),
            view.builder.ghost.clone(),
            turn.key.room.clone(),
            &self.ctx.tasks,
        );
        let snapshot = turn.clone();
        let opened =
            self.run_interruptible(&snapshot, view, wait, self.open_stream(turn, shared, again));
        let stream = match opened.await? {
            WaitOutcome::Done(Ok(stream)) => stream,
            WaitOutcome::Done(Err(Failure::Journal(failure))) => return Err(failure),
            WaitOutcome::Done(Err(Failure::Letta(failure))) => {
                return Ok(Err(AttemptError::NotOpened(failure)));
            }
            WaitOutcome::Done(Err(Failure::Missed)) => {
                let result = SegmentResult::end(view.reply.text(), Some(notice_texts::missed()));
                return Ok(Ok(SegmentOutcome::Completed(result)));
            }
            WaitOutcome::Done(Err(Failure::Exhausted(exhausted))) => {
                return Ok(Ok(SegmentOutcome::Failed(notice_texts::exhausted(
                    exhausted, None,
                ))));
            }
            WaitOutcome::Stopped => {
                let result = SegmentResult::end(view.reply.text(), Some(notice_texts::stopped()));
                return Ok(Ok(SegmentOutcome::Completed(result)));
            }
            WaitOutcome::ShuttingDown => return Ok(Ok(SegmentOutcome::ShuttingDown)),
        };
        view.record_wait(turn);
        match self
            .read_stream_unless_stopped(turn, view, wait, stream)
            .await?
        {
            StreamEnd::Everything(StopReason::Failed(failure), request) => {
                Ok(Err(reported_failure(turn, view, failure, request)))
            }
            StreamEnd::Everything(stop, request) => {
                if stop != StopReason::Cancelled {
                    self.pauses.lift(&turn.key.agent)?;
                }
                view.note_end(&stop);
                Ok(Ok(SegmentOutcome::Completed(segment_result(
                    view, &stop, request,
                ))))
            }
            StreamEnd::Broken(failure) => {
                view.restart();
                Ok(Err(AttemptError::Broken(failure)))
            }
            StreamEnd::Redacted => Ok(Ok(SegmentOutcome::Redacted)),
            StreamEnd::ShuttingDown => Ok(Ok(SegmentOutcome::ShuttingDown)),
        }
    }

    /// Reads one stream. Who wanted the turn to stop before there was anything to stop is heard now.
    async fn read_stream_unless_stopped(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        stream: TurnStream,
    ) -> Result<StreamEnd, JournalError> {
        if self.stops.is_requested(&turn.id) {
            self.cancel(&turn.key);
        }
        self.read_stream(turn, view, wait, stream).await
    }

    /// Reads one stream and shows what it says.
    async fn read_stream(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        mut stream: TurnStream,
    ) -> Result<StreamEnd, JournalError> {
        let (mut request, mut tell_at) = (None, None);
        let id = turn.id.clone();
        let stopped = async {
            self.stops.requested(&id).await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let redacted = self.stops.redacted(&id);
        tokio::pin!(stopped, redacted);
        loop {
            let wake_at = view.next_show();
            tokio::select! {
                biased;
                () = &mut redacted => return Ok(StreamEnd::Redacted),
                item = stream.next() => match item {
                    Some(Ok(TurnEvent::Finished(stop))) => return Ok(StreamEnd::Everything(stop, request)),
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
                            self.end_wait(turn, view, wait, false).await?;
                            wait.answered();
                            view.record_wait(turn);
                        }
                        match event {
                            TurnEvent::Approval(asked) => request = Some(asked),
                            event => self.apply_event(turn, view, &event).await?,
                        }
                    }
                    Some(Err(failure)) => return Ok(StreamEnd::Broken(failure)),
                    None => return Ok(StreamEnd::Broken(BackendError::Protocol {
                        detail: "a stream ended without an end".to_owned(),
                    })),
                },
                sent = view.answer.answered() => view.edited(sent?),
                sent = view.line.answered() => view.line_edited(sent?),
                confirmed = view.notice.until_confirmed() => {
                    confirmed?;
                    self.finish_notice(turn, view).await?;
                    view.record_wait(turn);
                }
                () = sleep_until(tell_at) => {
                    tell_at = None;
                    self.tell_wait(turn, view, wait).await?;
                    view.record_wait(turn);
                    self.ctx.journal.update_turn(turn)?;
                }
                () = sleep_until(wake_at) => self.show(turn, view).await?,
                () = &mut stopped => return Ok(StreamEnd::Everything(StopReason::Cancelled, None)),
                () = self.ctx.tasks.stopping() => return Ok(StreamEnd::ShuttingDown),
            }
        }
    }

    async fn apply_event(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        event: &TurnEvent,
    ) -> Result<(), JournalError> {
        if let TurnEvent::Started { run, .. } = event
            && turn.state().run() != Some(run)
        {
            turn.advance(|state| state.start_run(run.clone()))?;
            self.persist(turn).await?;
        }
        if matches!(event, TurnEvent::Text { .. } | TurnEvent::ToolCall(_)) {
            // The model answers, whatever stood in its way.
            self.pauses.lift(&turn.key.agent)?;
        }
        view.apply(event);
        Ok(())
    }
}

/// What went wrong with one question.
pub(super) enum AttemptError {
    /// There was no stream.
    NotOpened(BackendError),
    /// The stream broke.
    Broken(BackendError),
    /// Letta has told the failure in the stream, and this is what there is to say.
    Inside(TurnFailure, SegmentResult),
}

/// What to do after trouble.
pub(super) enum RetryAction {
    /// Ask again; `sent`: what was sent may have arrived.
    AskAgain { sent: bool },
    /// Ask again later.
    Wait(BackendError),
    /// Do not ask again.
    Over(SegmentOutcome),
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
