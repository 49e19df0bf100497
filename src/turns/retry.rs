//! What to do after Letta has failed: ask again, now or later, or end the turn and say why.
//!
//! What a failure means is the client's to say ([`FailureKind`]); what it costs is counted here, in the turn's budget, before
//! anything is asked again.

use letta_client::{BackendError, Conversation, FailureKind, FailurePolicy, TurnFailure};
use tracing::{info, warn};

use super::{
    Inner,
    budget::{self, Cost},
    interruptible::WaitOutcome,
    notice_texts,
    segment::{AttemptError, RetryAction, SegmentOutcome, SegmentResult},
    turn_view::TurnView,
    wait_notice::Wait,
};
use crate::journal::{Delivery, JournalError, TurnRecord, TurnState};

impl Inner {
    /// What to do after trouble.
    pub(super) async fn next_action(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        trouble: AttemptError,
    ) -> Result<RetryAction, JournalError> {
        let (failure, broke) = match trouble {
            AttemptError::Inside(failure, result) => {
                return self
                    .after_reported_failure(turn, view, wait, failure, result)
                    .await;
            }
            AttemptError::NotOpened(failure) => (failure, false),
            AttemptError::Broken(failure) => (failure, true),
        };
        // How long Letta was away before a stream broke is not this turn's failure, but that it broke is.
        if broke || budget::cost_of_failure(&failure) == Cost::Failure {
            turn.spent.failures += 1;
        }
        info!(
            turn.id = %turn.id, code = failure.code(), broke, failures = turn.spent.failures,
            error = &failure as &dyn std::error::Error, detail = detail_of(&failure),
            "request to Letta failed"
        );
        self.persist(turn).await?;
        match failure.kind() {
            FailureKind::RunGone if turn.state().run().is_some() => {
                turn.advance(TurnState::lose_run)?;
                // Letta has lost the run; the prompts are sent again, as often as the budget allows.
                Ok(RetryAction::AskAgain { sent: false })
            }
            FailureKind::AgentGone => Ok(gone(view)),
            _ if matches!(failure, BackendError::RunDied { .. }) => self.run_died(turn).await,
            FailureKind::ConversationGone => {
                self.conversation_gone(turn, view, wait, failure).await
            }
            _ if broke && is_lost_stream(&failure) => match self.is_gone(turn, view, wait).await? {
                WaitOutcome::Done(true) => Ok(gone(view)),
                WaitOutcome::Done(false) => Ok(RetryAction::Wait(failure)),
                WaitOutcome::Stopped => Ok(stopped(view)),
                WaitOutcome::ShuttingDown => Ok(RetryAction::Over(SegmentOutcome::ShuttingDown)),
            },
            _ => self.after_refusal(turn, view, wait, failure).await,
        }
    }

    async fn after_refusal(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        failure: BackendError,
    ) -> Result<RetryAction, JournalError> {
        let journal = &self.ctx.journal;
        match &failure {
            BackendError::Moved { to } => {
                // Its run stays behind.
                turn.advance(TurnState::lose_run)?;
                journal.set_conversation(&turn.key, &Conversation::Own(to.clone()))?;
                journal.durable().await?;
                Ok(RetryAction::AskAgain { sent: false })
            }
            BackendError::ApprovalPending => match self.find_pending(turn, view, wait).await? {
                WaitOutcome::Done(Some(pending)) => Ok(over(SegmentResult::instead(
                    pending.request,
                    !pending.is_ours,
                ))),
                WaitOutcome::Done(None) => {
                    // The segment stays, and with it the notice that the room has of it.
                    turn.renew_keys()?;
                    journal.update_turn(turn)?;
                    Ok(RetryAction::Wait(failure))
                }
                WaitOutcome::Stopped => Ok(stopped(view)),
                WaitOutcome::ShuttingDown => Ok(RetryAction::Over(SegmentOutcome::ShuttingDown)),
            },
            BackendError::RunDied { .. } => self.run_died(turn).await,
            BackendError::NotPending | BackendError::Forgotten { .. } => {
                self.decided_on_nothing(turn, view, wait, failure).await
            }
            _ if failure.kind() == FailureKind::NoPictures && self.refuse_pictures(turn)? => {
                turn.resend()?;
                self.persist(turn).await?;
                Ok(RetryAction::AskAgain { sent: false })
            }
            _ if pauses(&failure) => {
                let reason = notice_texts::pause_reason(&failure.kind(), failure.code());
                self.pauses
                    .pause(&turn.key.agent, reason, failure.kind().retry_after())?;
                Ok(RetryAction::AskAgain { sent: false })
            }
            _ if failure.kind().policy() == FailurePolicy::Wait => Ok(RetryAction::Wait(failure)),
            _ => Ok(RetryAction::Over(SegmentOutcome::Failed(
                notice_texts::refused(&failure),
            ))),
        }
    }

    /// Letta was stopped in the middle of a run and does not go on with it.
    async fn run_died(&self, turn: &mut TurnRecord) -> Result<RetryAction, JournalError> {
        turn.advance(TurnState::lose_run)?;
        if turn.decided().is_some() {
            // The tool may have run, so it is not asked for again.
            return Ok(over(SegmentResult::end(
                String::new(),
                Some(notice_texts::broke_off()),
            )));
        }
        turn.renew_keys()?;
        self.persist(turn).await?;
        Ok(RetryAction::AskAgain { sent: false })
    }

    /// Letta has told the failure in the stream.
    async fn after_reported_failure(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        failure: TurnFailure,
        mut result: SegmentResult,
    ) -> Result<RetryAction, JournalError> {
        // Nothing was said and no tool was called: the same can be asked without the pictures.
        if failure.kind == FailureKind::NoPictures
            && !view.has_spoken()
            && turn.decided().is_none()
            && self.refuse_pictures(turn)?
        {
            turn.resend()?;
            self.persist(turn).await?;
            return Ok(RetryAction::AskAgain { sent: false });
        }
        if failure.kind.pauses_agent() {
            let reason = notice_texts::pause_reason(&failure.kind, &failure.code);
            self.pauses
                .pause(&turn.key.agent, reason, failure.kind.retry_after())?;
            // Nothing was said and no tool was called: the same can be asked again when the pause is over.
            if !view.has_spoken() && turn.decided().is_none() && !turn.prompts.is_empty() {
                turn.resend()?;
                self.persist(turn).await?;
                return Ok(RetryAction::AskAgain { sent: false });
            }
            return Ok(over(result));
        }
        let may_be_gone = !matches!(
            failure.kind,
            FailureKind::ContextOverflow | FailureKind::Overloaded { .. }
        );
        if may_be_gone {
            match self.is_gone(turn, view, wait).await? {
                WaitOutcome::Done(true) => return Ok(gone(view)),
                WaitOutcome::Done(false) => {}
                WaitOutcome::Stopped => {
                    result.answer.ending_notice = Some(notice_texts::stopped());
                    return Ok(over(result));
                }
                WaitOutcome::ShuttingDown => {
                    return Ok(RetryAction::Over(SegmentOutcome::ShuttingDown));
                }
            }
        }
        Ok(over(result))
    }

    /// Letta does not know the conversation. It says so of the conversations of an agent that is gone as well.
    async fn conversation_gone(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        failure: BackendError,
    ) -> Result<RetryAction, JournalError> {
        let journal = &self.ctx.journal;
        match self.is_gone(turn, view, wait).await? {
            WaitOutcome::Done(true) => return Ok(gone(view)),
            WaitOutcome::Done(false) => {}
            WaitOutcome::Stopped => return Ok(stopped(view)),
            WaitOutcome::ShuttingDown => {
                return Ok(RetryAction::Over(SegmentOutcome::ShuttingDown));
            }
        }
        if journal.conversation(&turn.key)?.is_none() {
            return Ok(RetryAction::Wait(failure));
        }
        warn!(turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room, "conversation no longer exists in Letta");
        journal.forget_conversation(&turn.key)?;
        turn.advance(TurnState::lose_run)?;
        self.persist(turn).await?;
        let lost = self.message_builder(turn).segment_notice(
            turn,
            "lost",
            &notice_texts::conversation_lost(),
        );
        self.ctx.outbox.enqueue(&lost).await?;
        let Some(decided) = turn.decided() else {
            return Ok(RetryAction::AskAgain { sent: true });
        };
        let (is_stopped, is_ours) = (decided.is_stopped(), !decided.approval.found);
        // What was decided on is lost with the conversation.
        turn.advance(|state| state.nothing_waits(true))?;
        if is_stopped {
            return Ok(over(SegmentResult::end(String::new(), None)));
        }
        if !is_ours || turn.prompts.is_empty() {
            return Ok(RetryAction::Over(SegmentOutcome::Failed(
                notice_texts::refused(&failure),
            )));
        }
        turn.renew_keys()?;
        self.persist(turn).await?;
        Ok(RetryAction::AskAgain { sent: false })
    }

    /// What to do when nothing waits for what was decided.
    async fn decided_on_nothing(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        failure: BackendError,
    ) -> Result<RetryAction, JournalError> {
        let forgotten = matches!(failure, BackendError::Forgotten { .. });
        // V1 names a run before it refuses a decision inside the stream.
        turn.advance(TurnState::lose_run)?;
        match self.follow_external_decision(turn, view, wait).await? {
            WaitOutcome::Done(true) => return Ok(RetryAction::AskAgain { sent: true }),
            WaitOutcome::Done(false) => {}
            WaitOutcome::Stopped => return Ok(stopped(view)),
            WaitOutcome::ShuttingDown => {
                return Ok(RetryAction::Over(SegmentOutcome::ShuttingDown));
            }
        }
        if turn.decided().is_some() {
            turn.advance(|state| state.nothing_waits(forgotten))?;
        }
        // Letta may have begun anew and ask the same again under another name. A decision on
        // something else is not taken for one on this.
        match self.find_pending(turn, view, wait).await? {
            WaitOutcome::Done(Some(pending)) => {
                return Ok(over(SegmentResult::instead(
                    pending.request,
                    !pending.is_ours,
                )));
            }
            WaitOutcome::Done(None) => {}
            WaitOutcome::Stopped => return Ok(stopped(view)),
            WaitOutcome::ShuttingDown => {
                return Ok(RetryAction::Over(SegmentOutcome::ShuttingDown));
            }
        }
        match turn.state() {
            TurnState::Resuming {
                decided, delivery, ..
            } if !decided.approval.found => match delivery {
                // Nobody wants it any more.
                _ if decided.is_stopped() => Ok(over(SegmentResult::end(String::new(), None))),
                Delivery::Forgotten { .. } if !turn.prompts.is_empty() => {
                    self.persist(turn).await?;
                    Ok(RetryAction::AskAgain { sent: false })
                }
                // It was ours that came through, and its stream was lost.
                Delivery::Sent => Ok(over(SegmentResult::end(
                    String::new(),
                    Some(notice_texts::cut_off()),
                ))),
                _ => Ok(RetryAction::Over(SegmentOutcome::Failed(
                    notice_texts::refused(&failure),
                ))),
            },
            _ => Ok(RetryAction::Over(SegmentOutcome::Failed(
                notice_texts::refused(&failure),
            ))),
        }
    }

    /// Whether Letta has no such agent any more: known already, or asked for.
    async fn is_gone(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
    ) -> Result<WaitOutcome<bool>, JournalError> {
        if self.is_known_gone(&turn.key.agent)? {
            return Ok(WaitOutcome::Done(true));
        }
        let look = self.ctx.backend.agent(&turn.key.agent);
        Ok(
            match self
                .wait_interruptible(turn, view, wait, None, look)
                .await?
            {
                WaitOutcome::Done(found) => WaitOutcome::Done(matches!(found, Ok(None))),
                WaitOutcome::Stopped => WaitOutcome::Stopped,
                WaitOutcome::ShuttingDown => WaitOutcome::ShuttingDown,
            },
        )
    }
}

/// Whether a failure meets every message to the agent until an account, a key or a limit has changed. What Letta itself asks to
/// wait for is no such thing, and the bridge's own key is everybody's.
fn pauses(failure: &BackendError) -> bool {
    match failure {
        BackendError::Model { failure } => failure.kind.pauses_agent(),
        BackendError::QuotaExceeded { .. } => true,
        _ => false,
    }
}

/// Whether a stream broke because something broke, and not because Letta had something to say instead: that a decision is waited
/// for, or that the conversation goes on elsewhere.
fn is_lost_stream(failure: &BackendError) -> bool {
    let something_broke = matches!(
        failure.kind(),
        FailureKind::Unreachable { .. } | FailureKind::Overloaded { .. } | FailureKind::Broken
    );
    something_broke && !matches!(failure, BackendError::Moved { .. })
}

fn over(result: SegmentResult) -> RetryAction {
    RetryAction::Over(SegmentOutcome::Completed(result))
}

fn gone(view: &TurnView) -> RetryAction {
    RetryAction::Over(SegmentOutcome::Failed(notice_texts::agent_gone(
        view.has_spoken(),
    )))
}

fn stopped(view: &TurnView) -> RetryAction {
    over(SegmentResult::end(
        view.reply.text(),
        Some(notice_texts::stopped()),
    ))
}

/// What Letta said in its own words: for the log, never for a room.
fn detail_of(failure: &BackendError) -> &str {
    match failure {
        BackendError::Refused { detail, .. }
        | BackendError::ServerError { detail, .. }
        | BackendError::NotLetta { detail, .. }
        | BackendError::Protocol { detail } => detail,
        BackendError::Model { failure } => &failure.detail,
        _ => "",
    }
}
