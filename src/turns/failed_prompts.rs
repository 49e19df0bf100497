//! Turns that end without an answer: their prompts are set aside, with the reason, until somebody tries them again.

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use tracing::{info, warn};

use super::{Inner, Turns, log, notice_texts, turn_view::TurnView};
use crate::{
    config::Level,
    journal::{
        Answer, ApprovalDecision, FailedRecord, JournalError, NoticeText, SendId, TurnRecord,
    },
    time::Millis,
    turns::decide::Requester,
};

/// What became of a wish to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// It waits in its conversation again.
    Queued(FailedRecord),
    /// Nothing has this number (any more).
    Nothing,
    /// It is not this person's to try again.
    NotTheirs,
    /// Too much waits in its conversation.
    Full,
}

impl Turns {
    /// What was set aside that this person may see, oldest first; only that of one room if one is named.
    pub fn failed(
        &self,
        requester: Requester<'_>,
        room: Option<&RoomId>,
    ) -> Result<Vec<FailedRecord>, JournalError> {
        let mut failed = self.inner.ctx.journal.failed_prompts()?;
        failed.retain(|one| {
            room.is_none_or(|room| one.key.room == room) && may_retry(requester, one)
        });
        Ok(failed)
    }

    /// Tries again what was set aside.
    pub async fn retry(
        &self,
        requester: Requester<'_>,
        number: u64,
    ) -> Result<RetryOutcome, JournalError> {
        let journal = &self.inner.ctx.journal;
        let known = journal.failed_prompts()?;
        match known.iter().find(|one| one.number == number) {
            None => return Ok(RetryOutcome::Nothing),
            Some(one) if !may_retry(requester, one) => return Ok(RetryOutcome::NotTheirs),
            Some(_) => {}
        }
        match journal.retry_failed(number) {
            Ok(Some(failed)) => {
                journal.durable().await?;
                info!(number, agent.id = %failed.key.agent, room.id = %failed.key.room, "prompts set aside are retried");
                self.wake(&failed.key);
                Ok(RetryOutcome::Queued(failed))
            }
            Ok(None) => Ok(RetryOutcome::Nothing),
            Err(JournalError::Full { .. }) => Ok(RetryOutcome::Full),
            Err(failure) => Err(failure),
        }
    }

    /// An event was redacted. If a running turn has said it, the turn ends and says nothing more; if it was set aside, it is
    /// forgotten.
    pub async fn redacted(
        &self,
        room: &RoomId,
        event: &EventId,
        by: &UserId,
    ) -> Result<(), JournalError> {
        let journal = &self.inner.ctx.journal;
        journal.withdraw_failed(room, event)?;
        journal.withdraw_edits(room, event)?;
        for turn in journal.turns_in(room)? {
            if !self.inner.owns_event(&turn, event)? {
                if !self.inner.unconfirmed(&turn)?.is_empty() {
                    journal.note_unconfirmed_redaction(&turn.id, event)?;
                    journal.durable().await?;
                    self.watch_unconfirmed_redactions(&turn, by);
                }
                continue;
            }
            info!(turn.id = %turn.id, event.id = %event, "an answer was redacted; its turn ends");
            journal.set_redacted(&turn.id)?;
            if turn.waits_for().is_some() {
                self.record_decision(&turn, &ApprovalDecision::stopped(by.to_owned()))?;
                journal.durable().await?;
                continue;
            }
            journal.durable().await?;
            self.inner.stops.redact(&turn.id);
            self.inner.stops.add(&turn.id, by);
        }
        Ok(())
    }
}

impl Turns {
    /// Waits, beside everything else, until the homeserver has said which events a turn's messages are, and then ends the turn
    /// if one of them was redacted meanwhile.
    pub(super) fn watch_unconfirmed_redactions(&self, turn: &TurnRecord, by: &UserId) {
        let (turns, turn, by) = (self.clone(), turn.clone(), by.to_owned());
        self.inner.ctx.tasks.spawn(async move {
            if let Err(failure) = turns.confirm_redactions(&turn, &by).await {
                warn!(turn.id = %turn.id, error = &failure as &dyn std::error::Error, "could not check a redaction; it may be missed");
            }
        });
    }

    async fn confirm_redactions(&self, turn: &TurnRecord, by: &UserId) -> Result<(), JournalError> {
        let ctx = &self.inner.ctx;
        for event in ctx.journal.unconfirmed_redactions(&turn.id)? {
            if self.inner.owns_event(turn, &event)? {
                Box::pin(self.redacted(&turn.key.room, &event, by)).await?;
            }
        }
        for send_id in self.inner.unconfirmed(turn)? {
            let Some(event) = ctx.outbox.event_of(&send_id).await? else {
                continue;
            };
            if ctx
                .journal
                .unconfirmed_redactions(&turn.id)?
                .contains(&event)
            {
                Box::pin(self.redacted(&turn.key.room, &event, by)).await?;
            }
        }
        Ok(())
    }
}

/// Who has asked, and admins.
fn may_retry(requester: Requester<'_>, failed: &FailedRecord) -> bool {
    let asked = failed
        .prompts
        .iter()
        .any(|prompt| prompt.sender == requester.user);
    requester.level >= Level::Admin || (requester.level >= Level::Talk && asked)
}

/// The messages of a turn that it may still change.
fn changeable(turn: &TurnRecord) -> impl Iterator<Item = SendId> {
    let parts = (0..=turn.segment()).map(|number| turn.id.segment(number).part(0));
    let line = turn.segment_id().status();
    let approval = turn.state().approval();
    let approval_message = approval.map(|approval| approval.approval_message.clone());
    parts.chain(approval_message).chain([line])
}

impl Inner {
    /// Whether an event is something that a turn has said and may still change.
    fn owns_event(&self, turn: &TurnRecord, event: &EventId) -> Result<bool, JournalError> {
        for send_id in changeable(turn) {
            let said: Option<OwnedEventId> = self.ctx.journal.event_of(&send_id)?.flatten();
            if said.as_deref() == Some(event) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a turn has said of which the homeserver has not confirmed yet which event it is.
    fn unconfirmed(&self, turn: &TurnRecord) -> Result<Vec<SendId>, JournalError> {
        let mut unconfirmed = Vec::new();
        for send_id in changeable(turn) {
            if self.ctx.journal.is_waiting(&turn.key.room, &send_id)? {
                unconfirmed.push(send_id);
            }
        }
        Ok(unconfirmed)
    }

    /// Ends a turn whose prompts get no answer. What was said of it stays.
    pub(super) async fn fail(
        &self,
        turn: TurnRecord,
        mut view: TurnView,
        reason: NoticeText,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        if journal.is_redacted(&turn.id)? {
            return self.end_redacted(&turn);
        }
        let failed = self.failed_record(&turn, &reason)?;
        let ending_notice = match &failed {
            Some(failed) => notice_texts::prompts_set_aside(&reason, failed.number),
            None => reason.clone(),
        };
        let answer = Answer {
            text: view.reply.text(),
            ending_notice: Some(ending_notice),
        };
        // The state stays: should the process end meanwhile, the reason is found once more.
        if !self.flush(&turn, &mut view).await? {
            return Ok(());
        }
        view.break_off();
        let last = view.last_messages(&turn, &answer);
        match &failed {
            Some(failed) => journal.set_aside(&turn, failed, &last)?,
            None => journal.end_turn(&turn, &last)?,
        }
        journal.durable().await?;
        self.ctx.outbox.wake(&turn.key.room);
        self.stops.forget(&turn.id);
        log::ended(&turn, "set aside", Some(&reason.code));
        Ok(())
    }

    /// What is kept of a turn that gets no answer; `None` if nobody in the room has asked.
    pub(super) fn failed_record(
        &self,
        turn: &TurnRecord,
        reason: &NoticeText,
    ) -> Result<Option<FailedRecord>, JournalError> {
        if turn.prompts.is_empty() {
            return Ok(None);
        }
        Ok(Some(FailedRecord {
            number: self.ctx.journal.next_failed_number()?,
            key: turn.key.clone(),
            prompts: turn.prompts.clone(),
            reason: reason.sentence.clone(),
            code: reason.code.clone(),
            at: Millis::now(),
        }))
    }

    /// Ends a turn whose answer was redacted: in silence, and with nothing that shows it again.
    pub(super) fn end_redacted(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        self.cancel(&turn.key);
        let notice = self.abandoned_notice(turn)?;
        self.ctx.journal.end_turn(turn, notice.as_slice())?;
        self.ctx.outbox.wake(&turn.key.room);
        self.stops.forget(&turn.id);
        log::ended(turn, "redacted", None);
        Ok(())
    }
}
