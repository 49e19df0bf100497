//! Looking at what Letta knows before it is told a decision, or asked again.
//!
//! A request can be decided outside of Matrix, in Letta's own app, while its approval message is open here. V1 takes a second
//! decision all the same and runs the model again, whatever it says. So a decision is looked for before the approval message
//! names a person, and while it is open.

use std::time::Duration;

use letta_client::{ApprovalStatus, BackendError, Destination};
use tracing::{debug, info};

use super::{
    Inner, interruptible::WaitOutcome, notice_texts, turn_view::TurnView, wait_notice::Wait,
};
use crate::journal::{
    ApprovalDecision, ApprovalRecord, DecidedApproval, DecidedBy, JournalError, TurnRecord,
    TurnState,
};

/// The wait before an open request is looked at; it doubles each time.
const LOOK_MIN: Duration = Duration::from_secs(10);
/// The longest wait before an open request is looked at again.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How long a look may take before a person's decision is told without it, or others are kept waiting for it.
pub(super) const LOOK_TIME_MAX: Duration = Duration::from_secs(10);

impl Inner {
    /// The decision on an open request that somebody takes outside of Matrix. Does not return before there is one.
    pub(super) async fn wait_for_external_decision(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
    ) -> ApprovalDecision {
        let mut wait = LOOK_MIN;
        loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_MAX);
            match self.approval_status(turn, approval).await {
                Ok(Some(decision)) => return decision,
                Ok(None) => {}
                Err(error) => {
                    debug!(turn.id = %turn.id, %error, "could not fetch the status of an approval request");
                }
            }
        }
    }

    /// Replaces a decision that Letta has not been told by the one that was taken outside of Matrix, if there is one; or by that
    /// of who stops the turn meanwhile. `None`: the process is about to end.
    pub(super) async fn prefer_external_decision(
        &self,
        mut turn: TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let TurnState::Decided(DecidedApproval { approval, decision }) = turn.state() else {
            return Ok(Some(turn));
        };
        if matches!(decision.by, DecidedBy::External(_)) {
            return Ok(Some(turn));
        }
        let approve = decision.approve;
        let (mut view, wait) = (self.open_view(&turn, true).await?, Wait::begin(&turn));
        let look = tokio::time::timeout(LOOK_TIME_MAX, self.approval_status(&turn, approval));
        let looked = self.wait_interruptible(&turn, &mut view, &wait, None, look);
        let looked = match looked.await? {
            WaitOutcome::Done(looked) => looked,
            WaitOutcome::Stopped => {
                self.deny_because_stopped(&mut turn).await?;
                Ok(Ok(None))
            }
            WaitOutcome::ShuttingDown => return Ok(None),
        };
        self.end_wait(&turn, &mut view, &wait, false).await?;
        if view.notice.is_pending() {
            view.notice.until_confirmed().await?;
            self.finish_notice(&turn, &mut view).await?;
        }
        let outside = match looked {
            Ok(Ok(outside)) => outside,
            Ok(Err(error)) => {
                debug!(turn.id = %turn.id, %error, "sending a decision without checking for an external one");
                None
            }
            Err(_) => None,
        };
        if let Some(outside) = outside {
            info!(turn.id = %turn.id, approve, outside = outside.approve, "approval request already decided outside Matrix");
            turn.advance(|state| state.replace_decision(outside))?;
            self.persist(&turn).await?;
        }
        Ok(Some(turn))
    }

    /// Whoever stops a turn while Letta has not heard yet that tools may run, does not want them to.
    async fn deny_because_stopped(&self, turn: &mut TurnRecord) -> Result<(), JournalError> {
        let Some(by) = self.stops.by(&turn.id) else {
            return Ok(());
        };
        if turn
            .decided()
            .is_some_and(|decided| decided.decision.approve)
        {
            turn.advance(|state| state.replace_decision(ApprovalDecision::stopped(by)))?;
            self.persist(turn).await?;
        }
        Ok(())
    }

    /// Letta has refused a decision of ours: goes on from the one that it has, and lets the approval message say so. `false`:
    /// it has none.
    pub(super) async fn follow_external_decision(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
    ) -> Result<WaitOutcome<bool>, JournalError> {
        let Some(DecidedApproval { approval, decision }) = turn.decided() else {
            return Ok(WaitOutcome::Done(false));
        };
        if matches!(decision.by, DecidedBy::External(_)) {
            return Ok(WaitOutcome::Done(false));
        }
        let look = async {
            let Ok(Some(outside)) = self.approval_status(turn, approval).await else {
                return Ok(None);
            };
            // The approval message is to be corrected, whichever event it became.
            let approval_message = self.ctx.outbox.event_of(&approval.approval_message).await?;
            Ok::<_, JournalError>(Some((outside, approval_message)))
        };
        let (outside, approval_message) = match self
            .wait_interruptible(turn, view, wait, None, look)
            .await?
        {
            WaitOutcome::Done(found) => match found? {
                Some(found) => found,
                None => return Ok(WaitOutcome::Done(false)),
            },
            WaitOutcome::Stopped => return Ok(WaitOutcome::Stopped),
            WaitOutcome::ShuttingDown => return Ok(WaitOutcome::ShuttingDown),
        };
        if let Some(approval_message) = approval_message {
            let said = self.message_builder(turn).corrected_verdict(
                turn,
                approval,
                &outside,
                &approval_message,
            );
            self.ctx.outbox.enqueue(&said).await?;
        }
        turn.advance(|state| state.follow_external(outside))?;
        self.persist(turn).await?;
        Ok(WaitOutcome::Done(true))
    }

    /// The decision that Letta has on a request, if it is not one of ours.
    async fn approval_status(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
    ) -> Result<Option<ApprovalDecision>, BackendError> {
        let Ok(Some(destination)) = self.known_destination(&turn.key) else {
            return Ok(None);
        };
        self.external_decision(&destination, approval).await
    }

    /// The same, in this conversation.
    pub(super) async fn external_decision(
        &self,
        destination: &Destination,
        approval: &ApprovalRecord,
    ) -> Result<Option<ApprovalDecision>, BackendError> {
        let backend = &self.ctx.backend;
        Ok(
            match backend
                .approval_status(destination, &approval.request())
                .await?
            {
                ApprovalStatus::Decided {
                    approve,
                    run: Some(run),
                } => Some(ApprovalDecision {
                    approve,
                    reason: Some(notice_texts::decided_outside(approve).to_owned()),
                    by: DecidedBy::External(run),
                }),
                // What runs is followed by who tells the decision.
                ApprovalStatus::Decided { run: None, .. }
                | ApprovalStatus::Runs(_)
                | ApprovalStatus::Waits => None,
            },
        )
    }
}
