//! What the room is being shown of a chapter while it is told: the answer, and the status line.

use std::time::Duration;

use letta_client::{Stop, TurnEvent};
use ruma::{OwnedEventId, RoomId};
use tokio::time::Instant;
use tracing::debug;

use super::{
    Inner,
    growing::{Answered, Growing},
    notice::{self, Notice},
    reply::{Reply, Show},
    say::Voice,
    status::{Ending, Line, ShowLine, Status},
};
use crate::{
    config::Detail,
    journal::{Ask, JournalError, SendId, TurnRecord},
    matrix::{MatrixError, backoff},
};

/// Edit numbers are reserved in blocks of this many, so that one commit serves many edits.
const EDITS_RESERVED_AT_ONCE: u32 = 10;
/// How patient to be after an edit that was not taken, as if so many had failed.
const FAILED_EDIT_ATTEMPT: u32 = 4;

/// See the module's documentation.
pub(super) struct Stage {
    pub(super) voice: Voice,
    pub(super) reply: Reply,
    pub(super) status: Status,
    began: Instant,
    /// Whether nothing more is shown: the turn was stopped.
    is_muted: bool,
    /// The answer.
    pub(super) answer: Growing,
    /// The status line.
    pub(super) line: Growing,
    /// The notice that the turn waits.
    pub(super) notice: Notice,
    /// How the chapter ended.
    ending: Ending,
    /// The tools that the agent called too, and that Letta does not run.
    pub(super) dropped: Vec<String>,
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
        let detail = self.detail_in(turn)?;
        let mut stage = Stage {
            voice: Voice {
                ghost,
                mentions,
                replies: true,
                mark: self.around.habits.unfinished_mark.clone(),
            },
            reply: Reply::new(),
            status: Status::new(detail),
            began: Instant::now(),
            is_muted: turn.ask.as_ref().is_some_and(Ask::is_stopped),
            answer: Growing::default(),
            line: Growing::default(),
            notice: Notice::default(),
            ending: Ending::Done,
            dropped: Vec::new(),
        };
        if turn.waiting.is_some()
            || (again && self.was_begun(&turn.key.room, &notice::id_of(turn))?)
        {
            stage.notice = Notice::resumed(self, turn);
        }
        let chapter = turn.chapter_id();
        if again && self.was_begun(&turn.key.room, &chapter.part(0))? {
            stage.reply = Reply::resumed(Duration::ZERO, turn.edits_reserved);
            stage.answer.expect(self, chapter.part(0));
        }
        if again && self.was_begun(&turn.key.room, &chapter.status())? {
            stage.status = Status::resumed(detail, turn.status_edits_reserved);
            stage.line.expect(self, chapter.status());
        }
        Ok(stage)
    }

    fn detail_in(&self, turn: &TurnRecord) -> Result<Detail, JournalError> {
        let chosen = self.around.journal.choices(&turn.key.room)?.detail;
        Ok(chosen.unwrap_or(self.around.habits.detail))
    }

    /// Whether a message is on its way to a room or there.
    pub(super) fn was_begun(&self, room: &RoomId, send_id: &SendId) -> Result<bool, JournalError> {
        let journal = &self.around.journal;
        Ok(journal.event_of(send_id)?.is_some() || journal.is_waiting(room, send_id)?)
    }

    /// Shows what is due: of both messages the first text as a message, what comes after as edits.
    pub(super) async fn show(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
    ) -> Result<(), JournalError> {
        let now = stage.now();
        if !stage.line.is_busy()
            && let Some(show) = stage.status.show(now)
        {
            self.show_line(turn, stage, show).await?;
        }
        if stage.answer.is_busy() {
            return Ok(());
        }
        match stage.reply.show(now) {
            None => {}
            Some(Show::First(text)) => {
                self.look_who_spoke(turn, stage);
                let item = stage.voice.first(turn, &text);
                self.around.outbox.say(&item).await?;
                stage.answer.expect(self, item.send_id);
            }
            Some(Show::Edit { number, text }) => {
                if number >= turn.edits_reserved {
                    turn.edits_reserved = number + EDITS_RESERVED_AT_ONCE;
                    self.keep(turn).await?;
                }
                if let Some(first) = &stage.answer.event {
                    let send_id = turn.chapter_id().edit(number);
                    let content = stage.voice.edit_unfinished(first, &text, &send_id);
                    let whose = (stage.voice.ghost.clone(), turn.key.room.clone());
                    stage.answer.send(self, whose, send_id, content);
                }
            }
        }
        Ok(())
    }

    async fn show_line(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        show: ShowLine,
    ) -> Result<(), JournalError> {
        match show {
            ShowLine::First(line) => {
                self.look_who_spoke(turn, stage);
                let item = stage.voice.status(turn, &line);
                self.around.outbox.say(&item).await?;
                stage.line.expect(self, item.send_id);
            }
            ShowLine::Edit { number, line } => {
                if number >= turn.status_edits_reserved {
                    turn.status_edits_reserved = number + EDITS_RESERVED_AT_ONCE;
                    self.keep(turn).await?;
                }
                if let Some(first) = &stage.line.event {
                    let send_id = turn.chapter_id().status_edit(number);
                    let content = Voice::status_edit(first, &line, &send_id);
                    let whose = (stage.voice.ghost.clone(), turn.key.room.clone());
                    stage.line.send(self, whose, send_id, content);
                }
            }
        }
        Ok(())
    }

    /// An answer is a reply where several people talk, and where something else was said after its question.
    pub(super) fn look_who_spoke(&self, turn: &TurnRecord, stage: &mut Stage) {
        let is_last = turn.prompts.last().is_some_and(|prompt| {
            let ghost = &stage.voice.ghost;
            self.last_said.is_last(&turn.key, &prompt.event_id, ghost)
        });
        stage.voice.replies = !stage.voice.mentions.is_empty() || !is_last;
    }

    /// Writes down for good how far a turn has come.
    pub(super) async fn keep(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        self.around.journal.update_turn(turn)?;
        self.around.journal.durable().await
    }

    /// Waits until the homeserver has answered to all that it was sent. `false`: the process is
    /// about to end before that.
    pub(super) async fn settle(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
    ) -> Result<bool, JournalError> {
        if stage.answer.is_beginning() || stage.line.is_beginning() || stage.notice.is_pending() {
            // The homeserver has not confirmed a message that is to be completed. That can take as
            // long as it likes, so the answer must not live in memory only.
            self.keep(turn).await?;
        }
        // An edit that overtakes the last one would undo it.
        while stage.answer.is_busy() {
            let sent = stage.answer.answered().await?;
            stage.edited(sent);
        }
        while stage.line.is_busy() {
            stage.line.answered().await?;
        }
        if stage.notice.is_pending() {
            stage.notice.confirmed().await?;
            self.finish_notice(turn, stage).await?;
        }
        let chapter = turn.chapter_id();
        let lost = |event: Option<&OwnedEventId>, send_id: &SendId| match event {
            Some(_) => Ok(false),
            None => self.was_begun(&turn.key.room, send_id),
        };
        let unknown = lost(stage.answer.event.as_ref(), &chapter.part(0))?
            || lost(stage.line.event.as_ref(), &chapter.status())?
            || lost(stage.notice.event(), &notice::id_of(turn))?;
        Ok(!(unknown && self.around.tasks.is_stopping()))
    }
}

impl Stage {
    /// How long the chapter has been told.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes in what Letta says.
    pub(super) fn apply(&mut self, event: &TurnEvent) {
        let now = self.now();
        if let TurnEvent::CallDropped(call) = event {
            self.dropped.push(call.name.clone());
        }
        self.reply.apply(event, now);
        self.status.apply(event, now);
        if let TurnEvent::Text { message, .. } = event
            && let Some(thought) = self.reply.reasoning(message)
        {
            self.status.note_reasoning(message, thought);
        }
    }

    /// The chapter is told from its beginning again.
    pub(super) fn restart(&mut self) {
        self.dropped.clear();
        self.reply.restart();
        self.status.restart();
    }

    /// The status line at the end of the chapter, if there is something new to say.
    pub(super) fn last_line(&self) -> Option<Line> {
        let line = self.status.last(self.now(), self.ending);
        line.filter(|_| !self.is_muted)
    }

    /// The chapter has ended like this.
    pub(super) fn note_end(&mut self, stop: &Stop) {
        self.ending = match stop {
            Stop::Cancelled => Ending::Stopped,
            Stop::Failed(_) => Ending::BrokeOff,
            Stop::EndTurn | Stop::MaxSteps | Stop::NeedsApproval => Ending::Done,
        };
    }

    /// The chapter is given up.
    pub(super) fn break_off(&mut self) {
        self.ending = Ending::BrokeOff;
    }

    /// Whether the room shows all of this text as it shall stay, without the mark of an unfinished answer.
    pub(super) fn shows_finished(&self, text: &str) -> bool {
        self.voice.mark.is_empty() && self.reply.shows(text)
    }

    /// Whether the agent has said or done something in this chapter.
    pub(super) fn has_spoken(&self) -> bool {
        !self.reply.text().is_empty() || self.status.has_calls()
    }

    /// When to show something; never while the homeserver still works on what was shown before.
    pub(super) fn next_show(&self) -> Option<Instant> {
        if self.is_muted {
            return None;
        }
        let answer = self.reply.due().filter(|_| !self.answer.is_busy());
        let line = self.status.due().filter(|_| !self.line.is_busy());
        let due = answer.into_iter().chain(line).min()?;
        Some(self.began + due)
    }

    /// The homeserver has answered to an edit of the answer.
    pub(super) fn edited(&mut self, sent: Answered) {
        if let Some(Err(failure)) = sent {
            self.reply.not_shown();
            let then = self.patience_after(&failure);
            self.reply.hold_until(then);
        }
    }

    /// The homeserver has answered to an edit of the status line.
    pub(super) fn line_edited(&mut self, sent: Answered) {
        if let Some(Err(failure)) = sent {
            let then = self.patience_after(&failure);
            self.status.hold_until(then);
        }
    }

    fn patience_after(&self, failure: &MatrixError) -> Duration {
        debug!(error = %failure, "an edit was not taken; the next one says more anyway");
        self.now() + backoff(FAILED_EDIT_ATTEMPT, failure)
    }
}
