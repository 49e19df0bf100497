//! What people decide about turns: that tools may run or not, that a turn shall stop.
//!
//! Promise: only who has set a turn going, or an admin, decides anything about it. Who may approve
//! is said and checked by [`Approvers`]; to deny is always safe, so whoever waits behind it can.

use letta_client::BackendError;
use ruma::{EventId, OwnedEventId, OwnedRoomId};

pub use super::rights::Requester;
use super::{
    Inner, Turns, approval_message, envelope::one_line, interruptible::CANCEL_TIME_MAX,
    messages::MessageBuilder, notice_texts, reaction_command::ReactionCommand, rights::Approvers,
};
use crate::journal::{
    ApprovalDecision, ApprovalRecord, DecidedBy, JournalError, SendId, TurnRecord,
};

/// Where a person speaks: a room, and the thread in it.
#[derive(Clone, Debug)]
pub struct RoomThread {
    /// The room.
    pub room: OwnedRoomId,
    /// The thread's first event; `None` is the main timeline.
    pub thread: Option<OwnedEventId>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionOutcome {
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
    pub(super) fn approvers(&self, turn: &TurnRecord, approval: &ApprovalRecord) -> Approvers {
        let ctx = &self.ctx;
        Approvers::of(turn, approval, &ctx.permissions, ctx.config.approve_level)
    }
}

impl Turns {
    /// Takes a decision that a person has put into words.
    pub fn decide(
        &self,
        location: &RoomThread,
        requester: Requester<'_>,
        approve: bool,
        reason: Option<&str>,
    ) -> Result<DecisionOutcome, JournalError> {
        let mut waiting = self.turns_at(location)?;
        waiting.retain(|turn| turn.waits_for().is_some());
        match &waiting[..] {
            [] => Ok(DecisionOutcome::Nothing),
            [turn] => self.try_decide(turn, requester, approve, reason),
            _ => Ok(DecisionOutcome::Several),
        }
    }

    /// Takes what a person has said with a reaction to the event `on`.
    pub async fn handle_reaction(
        &self,
        location: &RoomThread,
        on: &EventId,
        reaction_command: ReactionCommand,
        requester: Requester<'_>,
    ) -> Result<(), StopError> {
        let Some(turn) = self.turn_of_event(location, on).await? else {
            return Ok(());
        };
        let decides = reaction_command != ReactionCommand::Stop;
        if decides && !self.is_approval_message(&turn, on)? {
            return Ok(());
        }
        let outcome = match reaction_command {
            ReactionCommand::Approve => self.try_decide(&turn, requester, true, None)?,
            ReactionCommand::Deny => self.try_decide(&turn, requester, false, None)?,
            ReactionCommand::Stop if requester.may_stop(&turn) => {
                self.stop_turn(&turn, requester).await?;
                DecisionOutcome::Taken
            }
            ReactionCommand::Stop => DecisionOutcome::NotTheirs,
        };
        let told = match outcome {
            DecisionOutcome::NotTheirs => notice_texts::not_yours_to_decide(requester.user),
            DecisionOutcome::NotTheirsToApprove(approvers) => {
                notice_texts::not_yours_to_approve(requester.user, &approvers)
            }
            DecisionOutcome::TooLong => notice_texts::too_long_to_approve(),
            DecisionOutcome::Taken | DecisionOutcome::Nothing | DecisionOutcome::Several => {
                return Ok(());
            }
        };
        let once = SendId::of(&["told", on.as_str(), requester.user.as_str()]);
        let builder = MessageBuilder {
            ghost: self.inner.ctx.identity.ghost(&turn.key.agent),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        };
        let notice = builder.notice_under(&turn, once, &told);
        Ok(self.inner.ctx.outbox.enqueue(&notice).await?)
    }

    /// Stops what runs at a place, as far as this person may.
    pub async fn stop(
        &self,
        location: &RoomThread,
        requester: Requester<'_>,
    ) -> Result<Stopped, StopError> {
        let mut stopped = Stopped::default();
        for turn in self.turns_at(location)? {
            if requester.may_stop(&turn) {
                // Who asks with a command is answered there.
                self.inner.stops.answer_given(&turn.id);
                self.stop_turn(&turn, requester).await?;
                stopped.turns += 1;
            } else {
                stopped.others += 1;
            }
        }
        Ok(stopped)
    }

    /// The turns at a place: those of its thread if there are any, else those of its room.
    fn turns_at(&self, location: &RoomThread) -> Result<Vec<TurnRecord>, JournalError> {
        let all = self.inner.ctx.journal.turns_in(&location.room)?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|turn| turn.key.thread == location.thread);
        Ok(if here.is_empty() { elsewhere } else { here })
    }

    /// Whether an event is the message that asks for the decision a turn waits for.
    fn is_approval_message(
        &self,
        turn: &TurnRecord,
        event: &EventId,
    ) -> Result<bool, JournalError> {
        let Some(approval) = turn.state().approval() else {
            return Ok(false);
        };
        let asked = self
            .inner
            .ctx
            .journal
            .event_of(&approval.approval_message)?;
        Ok(asked.flatten().is_some_and(|asked| asked == event))
    }

    /// The turn whose card or answer an event is. Whoever reacts has seen the event, so one that
    /// the homeserver has not confirmed yet is waited for.
    async fn turn_of_event(
        &self,
        location: &RoomThread,
        event: &EventId,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let ctx = &self.inner.ctx;
        for turn in ctx.journal.turns_in(&location.room)? {
            let parts = (0..=turn.segment()).map(|number| turn.id.segment(number).part(0));
            let approval = turn.state().approval();
            let approval_message = approval.map(|approval| approval.approval_message.clone());
            for send_id in approval_message.into_iter().chain(parts) {
                let said = match ctx.journal.event_of(&send_id)? {
                    Some(said) => said,
                    None if ctx.journal.is_waiting(&location.room, &send_id)? => {
                        ctx.outbox.event_of(&send_id).await?
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

    fn try_decide(
        &self,
        turn: &TurnRecord,
        requester: Requester<'_>,
        approve: bool,
        reason: Option<&str>,
    ) -> Result<DecisionOutcome, JournalError> {
        let Some(approval) = turn.waits_for() else {
            return Ok(DecisionOutcome::Nothing);
        };
        let approvers = self.inner.approvers(turn, approval);
        if approve && !approvers.include(requester) {
            return Ok(DecisionOutcome::NotTheirsToApprove(approvers));
        }
        if !approve && !requester.may_stop(turn) {
            return Ok(DecisionOutcome::NotTheirs);
        }
        if approve && !approval_message::shows_all(approval) {
            return Ok(DecisionOutcome::TooLong);
        }
        let by = DecidedBy::Person(requester.user.to_owned());
        let reason = reason.map(one_line);
        self.record_decision(
            turn,
            &ApprovalDecision {
                approve,
                reason,
                by,
            },
        )
    }

    pub(super) fn record_decision(
        &self,
        turn: &TurnRecord,
        decision: &ApprovalDecision,
    ) -> Result<DecisionOutcome, JournalError> {
        let Some(approval) = turn.waits_for() else {
            return Ok(DecisionOutcome::Nothing);
        };
        let journal = &self.inner.ctx.journal;
        let taken = journal.decide(&turn.key, &approval.approval_message, decision)?;
        self.inner.decisions_made.send_modify(|count| *count += 1);
        Ok(if taken {
            DecisionOutcome::Taken
        } else {
            DecisionOutcome::Nothing
        })
    }

    /// Stops one turn. What waits for a decision is denied: Letta does not let go of it otherwise.
    async fn stop_turn(
        &self,
        turn: &TurnRecord,
        requester: Requester<'_>,
    ) -> Result<(), StopError> {
        let inner = &self.inner;
        if turn.waits_for().is_some() {
            self.record_decision(turn, &ApprovalDecision::stopped(requester.user.to_owned()))?;
            return Ok(());
        }
        inner.stops.add(&turn.id, requester.user);
        if let Some(destination) = inner.known_destination(&turn.key)? {
            // The turn stops whether Letta hears of it or not, and whoever wants that is not kept waiting.
            let told = inner.ctx.backend.cancel(&destination);
            let after = CANCEL_TIME_MAX;
            let told = inner.unless_ending(tokio::time::timeout(after, told)).await;
            let told = told.and_then(Result::ok);
            told.unwrap_or(Err(BackendError::Silent { after }))?;
        }
        let now = inner.ctx.journal.open_turn(&turn.key)?;
        if now.is_none_or(|now| now.id != turn.id) {
            // It has ended meanwhile, and nobody else will forget the wish.
            inner.stops.forget(&turn.id);
        }
        Ok(())
    }
}
