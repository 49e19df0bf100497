//! One turn, from its queue to its last word.
//!
//! The journal is always a step ahead: before Letta is asked, the prompts are in the turn; before
//! the room hears something, it is in the outbox; and the turn is forgotten in the same commit that
//! puts its last words there.

use std::{pin::Pin, time::Duration};

use futures_util::StreamExt;
use letta_client::{Advice, BackendError, TurnEvent, TurnStream};
use ruma::OwnedEventId;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    Inner,
    reply::{Reply, Show},
    say::{EVENT_TYPE, Voice},
    typing::Typing,
    words,
};
use crate::{
    journal::{Answer, ConversationKey, JournalError, TurnRecord},
    matrix::{Actor, MatrixError, backoff},
    time::Millis,
};

/// Edit numbers are reserved in blocks of this many, so that one commit serves many edits.
const EDITS_RESERVED_AT_ONCE: u32 = 10;
/// The wait before Letta is asked again; it doubles each time.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest wait before Letta is asked again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(30);
/// How many attempts fail before the room is told that its message waits.
const TELL_AFTER_ATTEMPTS: u32 = 3;
/// How often the stream of one turn may break before the turn is given up.
const BREAKS_MAX: u32 = 8;

/// Why a step of a turn did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Letta(#[from] BackendError),
}

/// How listening to a stream ended.
enum Heard {
    Everything(Answer),
    Broken(BackendError),
    /// The process is about to end; the turn goes on in the next one.
    Stopping,
}

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What the room is being shown of a turn.
struct Stage {
    voice: Voice,
    reply: Reply,
    began: Instant,
    /// The message that grows, once the homeserver has it.
    first: Option<OwnedEventId>,
    /// The same while the homeserver has not answered yet.
    first_pending: Pending<Result<Option<OwnedEventId>, JournalError>>,
    edit_pending: Pending<Result<OwnedEventId, MatrixError>>,
}

impl Inner {
    /// Does all there is to do in a conversation.
    pub(super) async fn work(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        let journal = &self.around.journal;
        while !self.around.tasks.is_closing() {
            let (turn, again) = match journal.open_turn(conversation)? {
                Some(turn) => (turn, true),
                None => match journal.begin_turn(conversation, Millis::now())? {
                    Some(turn) => (turn, false),
                    None => return Ok(()),
                },
            };
            journal.durable().await?;
            self.run(turn, again).await?;
        }
        Ok(())
    }

    async fn run(&self, mut turn: TurnRecord, again: bool) -> Result<(), JournalError> {
        let mut stage = self.set_stage(&turn, again).await?;
        if turn.answer.is_none() {
            match self.hear(&mut turn, &mut stage, again).await? {
                Some(answer) => turn.answer = Some(answer),
                None => return Ok(()),
            }
        }
        self.conclude(turn, stage).await
    }

    async fn set_stage(&self, turn: &TurnRecord, again: bool) -> Result<Stage, JournalError> {
        let ghost = self.around.identity.ghost(&turn.key.agent);
        let shared = self.people.are_several(&ghost, &turn.key.room).await;
        let asker = turn.prompts.last().map(|prompt| prompt.sender.clone());
        let mentions = asker.filter(|_| shared).into_iter().collect();
        let mut stage = Stage {
            voice: Voice { ghost, mentions },
            reply: Reply::new(),
            began: Instant::now(),
            first: None,
            first_pending: None,
            edit_pending: None,
        };
        if again && self.has_begun_to_speak(turn)? {
            stage.reply = Reply::resumed(Duration::ZERO, turn.edits_reserved);
            self.expect_first(turn, &mut stage);
        }
        Ok(stage)
    }

    /// Whether the first part of the answer is on its way or there.
    fn has_begun_to_speak(&self, turn: &TurnRecord) -> Result<bool, JournalError> {
        let first = turn.id.part(0);
        let journal = &self.around.journal;
        Ok(journal.event_of(&first)?.is_some() || journal.is_waiting(&turn.key.room, &first)?)
    }

    /// Listens until there is an answer, whatever it takes. `None`: the process is about to end.
    async fn hear(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut again: bool,
    ) -> Result<Option<Answer>, JournalError> {
        let shared = !stage.voice.mentions.is_empty();
        let (mut attempts, mut breaks, mut forgot) = (0, 0, false);
        loop {
            let typing = Typing::start(
                self.around.homeserver.clone(),
                stage.voice.ghost.clone(),
                turn.key.room.clone(),
                &self.around.tasks,
            );
            let failure = match self.open(turn, shared, again).await {
                Err(Failure::Journal(failure)) => return Err(failure),
                Err(Failure::Letta(failure)) => failure,
                Ok(stream) => match self.follow(turn, stage, stream).await? {
                    Heard::Everything(answer) => return Ok(Some(answer)),
                    Heard::Stopping => return Ok(None),
                    Heard::Broken(failure) => {
                        breaks += 1;
                        stage.reply.restart();
                        failure
                    }
                },
            };
            drop(typing);
            again = true;
            let unknown = matches!(failure, BackendError::NotFound { .. });
            if unknown && turn.run.take().is_some() {
                // Letta has lost the run; the prompts are sent again.
                again = false;
                continue;
            }
            if unknown && !forgot && self.around.journal.conversation(&turn.key)?.is_some() {
                self.around.journal.forget_conversation(&turn.key)?;
                forgot = true;
                continue;
            }
            let hopeless = matches!(failure.advice(), Advice::Refuse | Advice::Fatal)
                || matches!(failure, BackendError::ApprovalPending)
                || breaks >= BREAKS_MAX;
            if hopeless {
                warn!(
                    turn.id = %turn.id, agent.id = %turn.key.agent, code = failure.code(),
                    error = &failure as &dyn std::error::Error, detail = detail_of(&failure),
                    "a turn failed"
                );
                let (text, remark) = (stage.reply.text(), Some(words::refused(&failure)));
                return Ok(Some(Answer { text, remark }));
            }
            attempts += 1;
            if !self
                .wait_for_letta(turn, &stage.voice, &failure, attempts)
                .await?
            {
                return Ok(None);
            }
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
            let remark = voice.remark(turn, "waiting", &words::waiting(failure));
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

    /// Listens to one stream and shows what it says.
    async fn follow(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut stream: TurnStream,
    ) -> Result<Heard, JournalError> {
        // The semaphore is never closed, so there is always a place to wait for.
        let _place = self.streams.acquire().await;
        loop {
            let wake_at = stage.next_show();
            tokio::select! {
                item = stream.next() => match item {
                    Some(Ok(TurnEvent::Finished(stop))) => {
                        return Ok(Heard::Everything(stage.reply.answer(&stop)));
                    }
                    Some(Ok(event)) => self.take_in(turn, stage, &event).await?,
                    Some(Err(failure)) => return Ok(Heard::Broken(failure)),
                    None => return Ok(Heard::Broken(BackendError::Protocol {
                        detail: "a stream ended without an end".to_owned(),
                    })),
                },
                first = ready(&mut stage.first_pending) => {
                    stage.first_pending = None;
                    stage.first = first?;
                }
                sent = ready(&mut stage.edit_pending) => {
                    stage.edit_pending = None;
                    stage.edited(sent);
                }
                () = sleep_until(wake_at) => self.show(turn, stage).await?,
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
            self.around.journal.update_turn(turn)?;
            self.around.journal.durable().await?;
        }
        stage.reply.apply(event, stage.began.elapsed());
        Ok(())
    }

    /// Shows what is due: the first text as a message, what comes after as edits of it.
    async fn show(&self, turn: &mut TurnRecord, stage: &mut Stage) -> Result<(), JournalError> {
        match stage.reply.show(stage.began.elapsed()) {
            None => {}
            Some(Show::First(text)) => {
                self.around
                    .outbox
                    .say(&stage.voice.first(turn, &text))
                    .await?;
                self.expect_first(turn, stage);
            }
            Some(Show::Edit { number, text }) => {
                if number >= turn.edits_reserved {
                    turn.edits_reserved = number + EDITS_RESERVED_AT_ONCE;
                    self.around.journal.update_turn(turn)?;
                    self.around.journal.durable().await?;
                }
                let Some(first) = &stage.first else {
                    return Ok(());
                };
                let send_id = turn.id.edit(number);
                let content = stage.voice.edit(first, &text, &send_id);
                let (homeserver, ghost) =
                    (self.around.homeserver.clone(), stage.voice.ghost.clone());
                let room = turn.key.room.clone();
                stage.edit_pending = Some(Box::pin(async move {
                    homeserver
                        .send(Actor::Ghost(&ghost), &room, EVENT_TYPE, &send_id, content)
                        .await
                }));
            }
        }
        Ok(())
    }

    fn expect_first(&self, turn: &TurnRecord, stage: &mut Stage) {
        let (outbox, send_id) = (self.around.outbox.clone(), turn.id.part(0));
        stage.first_pending = Some(Box::pin(async move { outbox.event_of(&send_id).await }));
    }

    /// Says what is still to be said, and ends the turn.
    async fn conclude(&self, turn: TurnRecord, mut stage: Stage) -> Result<(), JournalError> {
        let journal = &self.around.journal;
        let answer = turn.answer.clone().unwrap_or_default();
        if stage.first_pending.is_some() {
            // The homeserver has not confirmed the message that is to be completed. That can take
            // as long as it likes, so the answer must not live in memory only.
            journal.update_turn(&turn)?;
            journal.durable().await?;
            stage.first = ready(&mut stage.first_pending).await?;
            stage.first_pending = None;
            if stage.first.is_none() && self.around.tasks.is_stopping() {
                return Ok(());
            }
        }
        if let Some(edit) = stage.edit_pending.take() {
            // An edit that overtakes the last one would undo it.
            stage.edited(edit.await);
        }
        let complete = stage.reply.shows(&answer.text);
        let last = stage
            .voice
            .conclusion(&turn, &answer, stage.first.as_deref(), complete);
        journal.end_turn(&turn, &last)?;
        journal.durable().await?;
        self.around.outbox.wake(&turn.key.room);
        info!(
            turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room,
            prompts = turn.prompts.len(), duration = ?Millis::now().since(turn.started_at),
            "a turn ended"
        );
        Ok(())
    }
}

impl Stage {
    /// When to show something; never while the homeserver still works on what was shown before.
    fn next_show(&self) -> Option<Instant> {
        if self.first_pending.is_some() || self.edit_pending.is_some() {
            return None;
        }
        self.reply.due().map(|due| self.began + due)
    }

    fn edited(&mut self, sent: Result<OwnedEventId, MatrixError>) {
        if let Err(failure) = sent {
            debug!(error = %failure, "an edit was not taken; the next one says more anyway");
            self.reply.not_shown();
            self.reply
                .hold_until(self.began.elapsed() + backoff(4, &failure));
        }
    }
}

/// Ready when there is something pending and it is done.
async fn ready<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(future) => future.await,
        None => std::future::pending().await,
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
        | BackendError::Protocol { detail } => detail,
        _ => "",
    }
}
