//! Turns that end without an answer: their prompts are set aside, with the reason, until somebody tries them again.

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use tracing::{info, warn};

use super::{Inner, Turns, log, stage::Stage, words};
use crate::{
    config::Level,
    journal::{Answer, FailedRecord, JournalError, SendId, TurnRecord, Verdict},
    time::Millis,
    turns::decide::Who,
};

/// What became of a wish to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
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
        who: Who<'_>,
        room: Option<&RoomId>,
    ) -> Result<Vec<FailedRecord>, JournalError> {
        let mut failed = self.inner.around.journal.failed()?;
        failed.retain(|one| room.is_none_or(|room| one.key.room == room) && may_retry(who, one));
        Ok(failed)
    }

    /// Tries again what was set aside.
    pub async fn retry(&self, who: Who<'_>, number: u64) -> Result<Retried, JournalError> {
        let journal = &self.inner.around.journal;
        let known = journal.failed()?;
        match known.iter().find(|one| one.number == number) {
            None => return Ok(Retried::Nothing),
            Some(one) if !may_retry(who, one) => return Ok(Retried::NotTheirs),
            Some(_) => {}
        }
        match journal.retry_failed(number) {
            Ok(Some(failed)) => {
                journal.durable().await?;
                info!(number, agent.id = %failed.key.agent, room.id = %failed.key.room, "a message is tried again");
                self.wake(&failed.key);
                Ok(Retried::Queued(failed))
            }
            Ok(None) => Ok(Retried::Nothing),
            Err(JournalError::Full { .. }) => Ok(Retried::Full),
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
        let journal = &self.inner.around.journal;
        journal.withdraw_failed(room, event)?;
        journal.withdraw_edits(room, event)?;
        for turn in journal.turns_in(room)? {
            if !self.inner.has_said(&turn, event)? {
                if !self.inner.unconfirmed(&turn)?.is_empty() {
                    journal.suspect_redacted(&turn.id, event)?;
                    journal.durable().await?;
                    self.watch_suspects(&turn, by);
                }
                continue;
            }
            info!(turn.id = %turn.id, event.id = %event, "an answer was redacted; its turn ends");
            journal.set_redacted(&turn.id)?;
            if turn.waits_for().is_some() {
                self.write_down(&turn, &Verdict::stopped(by.to_owned()))?;
                journal.durable().await?;
                continue;
            }
            journal.durable().await?;
            self.inner.stops.redact(&turn.id);
            self.inner.stops.want(&turn.id, by);
        }
        Ok(())
    }
}

impl Turns {
    /// Waits, beside everything else, until the homeserver has said which events a turn's messages are, and then ends the turn
    /// if one of them was redacted meanwhile.
    pub(super) fn watch_suspects(&self, turn: &TurnRecord, by: &UserId) {
        let (turns, turn, by) = (self.clone(), turn.clone(), by.to_owned());
        self.inner.around.tasks.spawn(async move {
            if let Err(failure) = turns.confirm_suspects(&turn, &by).await {
                warn!(turn.id = %turn.id, error = &failure as &dyn std::error::Error, "a redaction may be missed");
            }
        });
    }

    async fn confirm_suspects(&self, turn: &TurnRecord, by: &UserId) -> Result<(), JournalError> {
        let around = &self.inner.around;
        for event in around.journal.suspects(&turn.id)? {
            if self.inner.has_said(turn, &event)? {
                Box::pin(self.redacted(&turn.key.room, &event, by)).await?;
            }
        }
        for send_id in self.inner.unconfirmed(turn)? {
            let Some(event) = around.outbox.event_of(&send_id).await? else {
                continue;
            };
            if around.journal.suspects(&turn.id)?.contains(&event) {
                Box::pin(self.redacted(&turn.key.room, &event, by)).await?;
            }
        }
        Ok(())
    }
}

/// Who has asked, and admins.
fn may_retry(who: Who<'_>, failed: &FailedRecord) -> bool {
    let asked = failed
        .prompts
        .iter()
        .any(|prompt| prompt.sender == who.user);
    who.level >= Level::Admin || (who.level >= Level::Talk && asked)
}

/// The messages of a turn that it may still change.
fn changeable(turn: &TurnRecord) -> impl Iterator<Item = SendId> {
    let parts = (0..=turn.chapter).map(|number| turn.id.chapter(number).part(0));
    let line = turn.chapter_id().status();
    let card = turn.ask.as_ref().map(|ask| ask.card.clone());
    parts.chain(card).chain([line])
}

impl Inner {
    /// Whether an event is something that a turn has said and may still change.
    fn has_said(&self, turn: &TurnRecord, event: &EventId) -> Result<bool, JournalError> {
        for send_id in changeable(turn) {
            let said: Option<OwnedEventId> = self.around.journal.event_of(&send_id)?.flatten();
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
            if self.around.journal.is_waiting(&turn.key.room, &send_id)? {
                unconfirmed.push(send_id);
            }
        }
        Ok(unconfirmed)
    }

    /// Ends a turn whose prompts get no answer. What was said of it stays.
    pub(super) async fn fail(
        &self,
        mut turn: TurnRecord,
        mut stage: Stage,
        reason: (String, String),
    ) -> Result<(), JournalError> {
        let journal = &self.around.journal;
        if journal.is_redacted(&turn.id)? {
            return self.end_redacted(&turn);
        }
        let failed = self.failed_record(&turn, &reason)?;
        let remark = match &failed {
            Some(failed) => words::prompts_set_aside(&reason, failed.number),
            None => format!("{} [{}]", reason.0, reason.1),
        };
        let answer = Answer {
            text: stage.reply.text(),
            remark: Some(remark),
        };
        // Should the process end meanwhile, the reason is found once more.
        turn.answer = None;
        if !self.settle(&turn, &mut stage).await? {
            return Ok(());
        }
        let complete = stage.shows_finished(&answer.text);
        let shown = stage.answer.event.as_deref();
        let mut last = stage.voice.conclusion(&turn, &answer, shown, complete);
        stage.break_off();
        if let Some(line) = stage.last_line() {
            let shown = stage.line.event.as_deref();
            last.insert(0, stage.voice.last_status(&turn, &line, shown));
        }
        match &failed {
            Some(failed) => journal.set_aside(&turn, failed, &last)?,
            None => journal.end_turn(&turn, &last)?,
        }
        journal.durable().await?;
        self.around.outbox.wake(&turn.key.room);
        self.stops.forget(&turn.id);
        log::ended(&turn, "set aside", Some(&reason.1));
        Ok(())
    }

    /// What is kept of a turn that gets no answer; `None` if nobody in the room has asked.
    pub(super) fn failed_record(
        &self,
        turn: &TurnRecord,
        (reason, code): &(String, String),
    ) -> Result<Option<FailedRecord>, JournalError> {
        if turn.prompts.is_empty() {
            return Ok(None);
        }
        Ok(Some(FailedRecord {
            number: self.around.journal.next_failed_number()?,
            key: turn.key.clone(),
            prompts: turn.prompts.clone(),
            reason: reason.clone(),
            code: code.clone(),
            at: Millis::now(),
        }))
    }

    /// Ends a turn whose answer was redacted: in silence, and with nothing that shows it again.
    pub(super) fn end_redacted(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        self.cancel(&turn.key);
        let notice = self.abandoned_notice(turn)?;
        self.around.journal.end_turn(turn, notice.as_slice())?;
        self.around.outbox.wake(&turn.key.room);
        self.stops.forget(&turn.id);
        log::ended(turn, "redacted", None);
        Ok(())
    }
}
