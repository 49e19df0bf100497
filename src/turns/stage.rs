//! What the room is being shown of a chapter while it is told.

use std::{pin::Pin, time::Duration};

use ruma::OwnedEventId;
use tokio::time::Instant;
use tracing::debug;

use super::{
    Inner,
    reply::{Reply, Show},
    say::{EVENT_TYPE, Voice},
};
use crate::{
    journal::{JournalError, TurnRecord},
    matrix::{Actor, MatrixError, backoff},
};

/// Edit numbers are reserved in blocks of this many, so that one commit serves many edits.
const EDITS_RESERVED_AT_ONCE: u32 = 10;

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// See the module's documentation.
pub(super) struct Stage {
    pub(super) voice: Voice,
    pub(super) reply: Reply,
    pub(super) began: Instant,
    /// Whether nothing more is shown: the turn was stopped.
    pub(super) is_muted: bool,
    /// The message that grows, once the homeserver has it.
    pub(super) first: Option<OwnedEventId>,
    /// The same while the homeserver has not answered yet.
    pub(super) first_pending: Pending<Result<Option<OwnedEventId>, JournalError>>,
    pub(super) edit_pending: Pending<Result<OwnedEventId, MatrixError>>,
}

impl Inner {
    /// The stage of a turn's chapter. `again`: an earlier process may have shown some of it.
    pub(super) async fn set_stage(
        &self,
        turn: &TurnRecord,
        again: bool,
    ) -> Result<Stage, JournalError> {
        let ghost = self.around.identity.ghost(&turn.key.agent);
        let shared = self.people.are_several(&ghost, &turn.key.room).await;
        let asker = turn.prompts.last().map(|prompt| prompt.sender.clone());
        let mentions = asker.filter(|_| shared).into_iter().collect();
        let mut stage = Stage {
            voice: Voice { ghost, mentions },
            reply: Reply::new(),
            began: Instant::now(),
            is_muted: turn.ask.as_ref().is_some_and(|ask| ask.is_stopped()),
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

    /// Whether the first part of the chapter is on its way or there.
    fn has_begun_to_speak(&self, turn: &TurnRecord) -> Result<bool, JournalError> {
        let first = turn.chapter_id().part(0);
        let journal = &self.around.journal;
        Ok(journal.event_of(&first)?.is_some() || journal.is_waiting(&turn.key.room, &first)?)
    }

    /// Shows what is due: the first text as a message, what comes after as edits of it.
    pub(super) async fn show(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
    ) -> Result<(), JournalError> {
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
                let send_id = turn.chapter_id().edit(number);
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
        let (outbox, send_id) = (self.around.outbox.clone(), turn.chapter_id().part(0));
        stage.first_pending = Some(Box::pin(async move { outbox.event_of(&send_id).await }));
    }
}

impl Stage {
    /// When to show something; never while the homeserver still works on what was shown before.
    pub(super) fn next_show(&self) -> Option<Instant> {
        if self.is_muted || self.first_pending.is_some() || self.edit_pending.is_some() {
            return None;
        }
        self.reply.due().map(|due| self.began + due)
    }

    /// The homeserver has answered to an edit.
    pub(super) fn edited(&mut self, sent: Result<OwnedEventId, MatrixError>) {
        if let Err(failure) = sent {
            debug!(error = %failure, "an edit was not taken; the next one says more anyway");
            self.reply.not_shown();
            self.reply
                .hold_until(self.began.elapsed() + backoff(4, &failure));
        }
    }
}

/// Ready when there is something pending and it is done.
pub(super) async fn ready<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
