//! What people decide about turns: that tools may run or not, that a turn shall stop.
//!
//! Promise: only who has set a turn going, or an admin, decides anything about it. Who may approve
//! is said and checked by [`Approvers`]; to deny is always safe, so whoever waits behind it can.

use letta_client::BackendError;
use ruma::{EventId, OwnedEventId, OwnedRoomId};

pub use super::rights::Who;
use super::{
    Inner, Turns, attend::CANCEL_TIME_MAX, card, envelope::one_line, gesture::Gesture,
    rights::Approvers, say::Voice, words,
};
use crate::journal::{Ask, By, JournalError, SendId, TurnRecord, Verdict};

/// Where a person speaks: a room, and the thread in it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The room.
    pub room: OwnedRoomId,
    /// The thread's first event; `None` is the main timeline.
    pub thread: Option<OwnedEventId>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It was taken.
    Taken,
    /// Nothing waits for it (any more).
    Nothing,
    /// Several requests wait here, and it does not say which is meant.
    Several,
    /// It is not this person's to decide.
    NotTheirs,
    /// It is not this person's to approve.
    NotTheirsToApprove(Approvers),
    /// What was not shown in full cannot be approved.
    TooLong,
}

/// What became of a wish to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// How many turns were told to stop.
    pub turns: usize,
    /// How many run that this person may not stop.
    pub others: usize,
}

/// Why turns could not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Letta failed.
    #[error(transparent)]
    Letta(#[from] BackendError),
}

impl Inner {
    /// Who may approve what a turn asks.
    pub(super) fn approvers(&self, turn: &TurnRecord, ask: &Ask) -> Approvers {
        let around = &self.around;
        Approvers::of(turn, ask, &around.permissions, around.habits.approve_level)
    }
}

impl Turns {
    /// Takes a decision that a person has put into words.
    pub fn decide(
        &self,
        place: &Place,
        who: Who<'_>,
        approve: bool,
        reason: Option<&str>,
    ) -> Result<Ruling, JournalError> {
        let mut waiting = self.turns_at(place)?;
        waiting.retain(|turn| turn.waits_for().is_some());
        match &waiting[..] {
            [] => Ok(Ruling::Nothing),
            [turn] => self.rule(turn, who, approve, reason),
            _ => Ok(Ruling::Several),
        }
    }

    /// Takes what a person has said with a reaction to the event `on`.
    pub async fn reacted(
        &self,
        place: &Place,
        on: &EventId,
        gesture: Gesture,
        who: Who<'_>,
    ) -> Result<(), StopError> {
        let Some(turn) = self.turn_that_said(place, on).await? else {
            return Ok(());
        };
        let ruling = match gesture {
            Gesture::Approve => self.rule(&turn, who, true, None)?,
            Gesture::Deny => self.rule(&turn, who, false, None)?,
            Gesture::Stop if who.may_stop(&turn) => {
                self.stop_turn(&turn, who).await?;
                Ruling::Taken
            }
            Gesture::Stop => Ruling::NotTheirs,
        };
        let told = match ruling {
            Ruling::NotTheirs => words::not_yours_to_decide(who.user),
            Ruling::NotTheirsToApprove(approvers) => {
                words::not_yours_to_approve(who.user, &approvers)
            }
            Ruling::TooLong => words::too_long_to_approve(),
            Ruling::Taken | Ruling::Nothing | Ruling::Several => return Ok(()),
        };
        let once = SendId::of(&["told", on.as_str(), who.user.as_str()]);
        let voice = Voice {
            ghost: self.inner.around.identity.ghost(&turn.key.agent),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        };
        let remark = voice.aside(&turn, once, &told);
        Ok(self.inner.around.outbox.say(&remark).await?)
    }

    /// Stops what runs at a place, as far as this person may.
    pub async fn stop(&self, place: &Place, who: Who<'_>) -> Result<Stopped, StopError> {
        let mut stopped = Stopped::default();
        for turn in self.turns_at(place)? {
            if who.may_stop(&turn) {
                // Who asks with a command is answered there.
                self.inner.stops.answer_given(&turn.id);
                self.stop_turn(&turn, who).await?;
                stopped.turns += 1;
            } else {
                stopped.others += 1;
            }
        }
        Ok(stopped)
    }

    /// The turns at a place: those of its thread if there are any, else those of its room.
    fn turns_at(&self, place: &Place) -> Result<Vec<TurnRecord>, JournalError> {
        let all = self.inner.around.journal.turns_in(&place.room)?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|turn| turn.key.thread == place.thread);
        Ok(if here.is_empty() { elsewhere } else { here })
    }

    /// The turn whose card or answer an event is. Whoever reacts has seen the event, so one that
    /// the homeserver has not confirmed yet is waited for.
    async fn turn_that_said(
        &self,
        place: &Place,
        event: &EventId,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let around = &self.inner.around;
        for turn in around.journal.turns_in(&place.room)? {
            let parts = (0..=turn.chapter).map(|number| turn.id.chapter(number).part(0));
            let card = turn.ask.as_ref().map(|ask| ask.card.clone());
            for send_id in card.into_iter().chain(parts) {
                let said = match around.journal.event_of(&send_id)? {
                    Some(said) => said,
                    None if around.journal.is_waiting(&place.room, &send_id)? => {
                        around.outbox.event_of(&send_id).await?
                    }
                    None => None,
                };
                if said.as_deref() == Some(event) {
                    return Ok(Some(turn));
                }
            }
        }
        Ok(None)
    }

    fn rule(
        &self,
        turn: &TurnRecord,
        who: Who<'_>,
        approve: bool,
        reason: Option<&str>,
    ) -> Result<Ruling, JournalError> {
        let Some(ask) = turn.waits_for() else {
            return Ok(Ruling::Nothing);
        };
        let approvers = self.inner.approvers(turn, ask);
        if approve && !approvers.include(who) {
            return Ok(Ruling::NotTheirsToApprove(approvers));
        }
        if !approve && !who.may_stop(turn) {
            return Ok(Ruling::NotTheirs);
        }
        if approve && !card::shows_all(ask) {
            return Ok(Ruling::TooLong);
        }
        let by = By::Person(who.user.to_owned());
        let reason = reason.map(one_line);
        self.write_down(
            turn,
            &Verdict {
                approve,
                reason,
                by,
            },
        )
    }

    pub(super) fn write_down(
        &self,
        turn: &TurnRecord,
        verdict: &Verdict,
    ) -> Result<Ruling, JournalError> {
        let Some(ask) = turn.waits_for() else {
            return Ok(Ruling::Nothing);
        };
        let journal = &self.inner.around.journal;
        let taken = journal.decide(&turn.key, &ask.card, verdict)?;
        self.inner.verdicts.send_modify(|count| *count += 1);
        Ok(if taken {
            Ruling::Taken
        } else {
            Ruling::Nothing
        })
    }

    /// Stops one turn. What waits for a decision is denied: Letta does not let go of it otherwise.
    async fn stop_turn(&self, turn: &TurnRecord, who: Who<'_>) -> Result<(), StopError> {
        let inner = &self.inner;
        if turn.waits_for().is_some() {
            self.write_down(turn, &Verdict::stopped(who.user.to_owned()))?;
            return Ok(());
        }
        inner.stops.want(&turn.id, who.user);
        if let Some(destination) = inner.known_destination(&turn.key)? {
            // The turn stops whether Letta hears of it or not, and whoever wants that is not kept waiting.
            let told = inner.around.backend.cancel(&destination);
            let after = CANCEL_TIME_MAX;
            let told = inner.unless_ending(tokio::time::timeout(after, told)).await;
            let told = told.and_then(Result::ok);
            told.unwrap_or(Err(BackendError::Silent { after }))?;
        }
        let now = inner.around.journal.open_turn(&turn.key)?;
        if now.is_none_or(|now| now.id != turn.id) {
            // It has ended meanwhile, and nobody else will forget the wish.
            inner.stops.forget(&turn.id);
        }
        Ok(())
    }
}
