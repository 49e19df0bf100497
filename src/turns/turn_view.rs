//! What the room is being shown of a segment while it is told: the answer, and the status line.

use std::time::Duration;

use letta_client::{StopReason, TurnEvent};
use ruma::{OwnedEventId, RoomId};
use tokio::time::Instant;
use tracing::debug;

use super::{
    Inner,
    messages::MessageBuilder,
    reply::{MessageUpdate, Reply},
    status::{SegmentEnding, Status, StatusUpdate},
    streamed_message::{Answered, StreamedMessage},
    wait_notice::{self, Notice},
};
use crate::{
    config::Detail,
    journal::{Answer, JournalError, OutboxItem, SendId, TurnRecord},
    matrix::{MatrixError, backoff},
};

/// Edit numbers are reserved in blocks of this many, so that one commit serves many edits.
const EDITS_RESERVED_AT_ONCE: u32 = 10;
/// How patient to be after an edit that was not taken, as if so many had failed.
const FAILED_EDIT_ATTEMPT: u32 = 4;

/// See the module's documentation.
pub(super) struct TurnView {
    pub(super) builder: MessageBuilder,
    pub(super) reply: Reply,
    pub(super) status: Status,
    began: Instant,
    /// Whether nothing more is shown: the turn was stopped.
    is_muted: bool,
    /// The answer.
    pub(super) answer: StreamedMessage,
    /// The status line.
    pub(super) line: StreamedMessage,
    /// The notice that the turn waits.
    pub(super) notice: Notice,
    /// How the segment ended.
    ending: SegmentEnding,
    /// The tools that the agent called too, and that Letta does not run.
    pub(super) dropped: Vec<String>,
}

impl Inner {
    /// The stage of a turn's segment. `again`: an earlier process may have shown some of it.
    pub(super) async fn open_view(
        &self,
        turn: &TurnRecord,
        again: bool,
    ) -> Result<TurnView, JournalError> {
        let ghost = self.ctx.identity.ghost(&turn.key.agent);
        let shared = self.members.has_several(&ghost, &turn.key.room).await;
        let asker = turn.prompts.last().map(|prompt| prompt.sender.clone());
        let mentions = asker.filter(|_| shared).into_iter().collect();
        let detail = self.detail_in(turn)?;
        let mut view = TurnView {
            builder: MessageBuilder {
                ghost,
                mentions,
                replies: true,
                mark: self.ctx.config.unfinished_mark.clone(),
            },
            reply: Reply::new(),
            status: Status::new(detail),
            began: Instant::now(),
            is_muted: turn.is_stopped(),
            answer: StreamedMessage::default(),
            line: StreamedMessage::default(),
            notice: Notice::default(),
            ending: SegmentEnding::Done,
            dropped: Vec::new(),
        };
        if turn.shown.waiting.is_some()
            || (again && self.is_sent_or_queued(&turn.key.room, &wait_notice::id_of(turn))?)
        {
            view.notice = Notice::resumed(self, turn);
        }
        let segment = turn.segment_id();
        if again && self.is_sent_or_queued(&turn.key.room, &segment.part(0))? {
            view.reply = Reply::resumed(Duration::ZERO, turn.shown.edits_reserved);
            view.answer.expect(self, segment.part(0));
        }
        if again && self.is_sent_or_queued(&turn.key.room, &segment.status())? {
            view.status = Status::resumed(detail, turn.shown.status_edits_reserved);
            view.line.expect(self, segment.status());
        } else if view.answer.is_busy() {
            view.status.move_into_answer();
        }
        Ok(view)
    }

    fn detail_in(&self, turn: &TurnRecord) -> Result<Detail, JournalError> {
        let chosen = self.ctx.journal.room_settings(&turn.key.room)?.detail;
        Ok(chosen.unwrap_or(self.ctx.config.detail))
    }

    /// Whether a message is on its way to a room or there.
    pub(super) fn is_sent_or_queued(
        &self,
        room: &RoomId,
        send_id: &SendId,
    ) -> Result<bool, JournalError> {
        let journal = &self.ctx.journal;
        Ok(journal.event_of(send_id)?.is_some() || journal.is_waiting(room, send_id)?)
    }

    /// Shows what is due: of both messages the first text as a message, what comes after as edits.
    pub(super) async fn show(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
    ) -> Result<(), JournalError> {
        let now = view.now();
        if !view.line.is_busy()
            && let Some(show) = view.status.show(now)
        {
            self.show_line(turn, view, show).await?;
        }
        if view.answer.is_busy() {
            return Ok(());
        }
        match next_update(&mut view.reply, &mut view.status, now) {
            None => {}
            Some(MessageUpdate::First(answer)) => {
                self.look_who_spoke(turn, view);
                let item = view.builder.first(turn, &answer);
                self.ctx.outbox.enqueue(&item).await?;
                view.answer.expect(self, item.send_id);
            }
            Some(MessageUpdate::Edit { number, answer }) => {
                if number >= turn.shown.edits_reserved {
                    turn.shown.edits_reserved = number + EDITS_RESERVED_AT_ONCE;
                    self.persist(turn).await?;
                }
                if let Some(first) = &view.answer.event {
                    let send_id = turn.segment_id().edit(number);
                    let content = view.builder.edit_unfinished(first, &answer, &send_id);
                    let whose = (view.builder.ghost.clone(), turn.key.room.clone());
                    view.answer.send(self, whose, send_id, content);
                }
            }
        }
        Ok(())
    }

    async fn show_line(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        show: StatusUpdate,
    ) -> Result<(), JournalError> {
        match show {
            StatusUpdate::First(line) => {
                self.look_who_spoke(turn, view);
                let item = view.builder.status(turn, &line);
                self.ctx.outbox.enqueue(&item).await?;
                view.line.expect(self, item.send_id);
            }
            StatusUpdate::InAnswer(line) => view.reply.set_status(line.text),
            StatusUpdate::Edit { number, line } => {
                if number >= turn.shown.status_edits_reserved {
                    turn.shown.status_edits_reserved = number + EDITS_RESERVED_AT_ONCE;
                    self.persist(turn).await?;
                }
                if let Some(first) = &view.line.event {
                    let send_id = turn.segment_id().status_edit(number);
                    let content = MessageBuilder::status_edit(first, &line, &send_id);
                    let whose = (view.builder.ghost.clone(), turn.key.room.clone());
                    view.line.send(self, whose, send_id, content);
                }
            }
        }
        Ok(())
    }

    /// An answer is a reply where several people talk, and where something else was said after its question.
    pub(super) fn look_who_spoke(&self, turn: &TurnRecord, view: &mut TurnView) {
        let is_last = turn.prompts.last().is_some_and(|prompt| {
            let ghost = &view.builder.ghost;
            self.latest_messages
                .is_last(&turn.key, &prompt.event_id, ghost)
        });
        view.builder.replies = !view.builder.mentions.is_empty() || !is_last;
    }

    /// Writes down for good how far a turn has come.
    pub(super) async fn persist(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        self.ctx.journal.update_turn(turn)?;
        self.ctx.journal.durable().await
    }

    /// Waits until the homeserver has answered to all that it was sent. `false`: the process is
    /// about to end before that.
    pub(super) async fn flush(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
    ) -> Result<bool, JournalError> {
        if view.answer.is_beginning() || view.line.is_beginning() || view.notice.is_pending() {
            // The homeserver has not confirmed a message that is to be completed. That can take as
            // long as it likes, so the answer must not live in memory only.
            self.persist(turn).await?;
        }
        // An edit that overtakes the last one would undo it.
        while view.answer.is_busy() {
            let sent = view.answer.answered().await?;
            view.edited(sent);
        }
        while view.line.is_busy() {
            view.line.answered().await?;
        }
        if view.notice.is_pending() {
            view.notice.until_confirmed().await?;
            self.finish_notice(turn, view).await?;
        }
        let segment = turn.segment_id();
        let lost = |event: Option<&OwnedEventId>, send_id: &SendId| match event {
            Some(_) => Ok(false),
            None => self.is_sent_or_queued(&turn.key.room, send_id),
        };
        let unknown = lost(view.answer.event.as_ref(), &segment.part(0))?
            || lost(view.line.event.as_ref(), &segment.status())?
            || lost(view.notice.event(), &wait_notice::id_of(turn))?;
        Ok(!(unknown && self.ctx.tasks.is_stopping()))
    }
}

impl TurnView {
    /// How long the segment has been told.
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

    /// The segment is told from its beginning again.
    pub(super) fn restart(&mut self) {
        self.dropped.clear();
        self.reply.restart();
        self.status.restart();
    }

    /// All that is still to be said at the end of the segment, once the homeserver has answered to what was sent before.
    pub(super) fn last_messages(&self, turn: &TurnRecord, answer: &Answer) -> Vec<OutboxItem> {
        let line = self.status.last(self.now(), self.ending);
        let line = line.filter(|_| !self.is_muted);
        let first = self.answer.event.as_deref();
        let complete = self.shows_finished(&answer.text);
        if !self.status.is_own_message() && !answer.text.is_empty() {
            return self
                .builder
                .final_messages(turn, answer, line.as_ref(), first, complete);
        }
        let shown = self.line.event.as_deref();
        let line = line.map(|line| self.builder.last_status(turn, &line, shown));
        let answer = self
            .builder
            .final_messages(turn, answer, None, first, complete);
        line.into_iter().chain(answer).collect()
    }

    /// The segment has ended like this.
    pub(super) fn note_end(&mut self, stop: &StopReason) {
        self.ending = match stop {
            StopReason::Cancelled => SegmentEnding::Stopped,
            StopReason::Failed(_) => SegmentEnding::BrokeOff,
            StopReason::EndTurn | StopReason::MaxSteps | StopReason::NeedsApproval => {
                SegmentEnding::Done
            }
        };
    }

    /// The segment is given up.
    pub(super) fn break_off(&mut self) {
        self.ending = SegmentEnding::BrokeOff;
    }

    /// Whether the room shows all of this text as it shall stay, without the mark of an unfinished answer.
    fn shows_finished(&self, text: &str) -> bool {
        self.builder.mark.is_empty() && self.reply.shows_in_full(text)
    }

    /// Whether the agent has said or done something in this segment.
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
            self.reply.edit_failed();
            let then = self.retry_delay_after(&failure);
            self.reply.hold_until(then);
        }
    }

    /// The homeserver has answered to an edit of the status line.
    pub(super) fn line_edited(&mut self, sent: Answered) {
        if let Some(Err(failure)) = sent {
            let then = self.retry_delay_after(&failure);
            self.status.hold_until(then);
        }
    }

    fn retry_delay_after(&self, failure: &MatrixError) -> Duration {
        debug!(error = %failure, "could not send an edit; the next one supersedes it");
        self.now() + backoff(FAILED_EDIT_ATTEMPT, failure)
    }
}

/// What of the answer is to be shown at `now`. An answer that begins takes the status line in.
pub(super) fn next_update(
    reply: &mut Reply,
    status: &mut Status,
    now: Duration,
) -> Option<MessageUpdate> {
    if reply.begins(now) {
        reply.set_status(status.move_into_answer());
    }
    reply.show(now)
}
