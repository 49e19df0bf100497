//! What to do after Letta has failed: ask again, now or later, or end the turn and say why.
//!
//! What a failure means is the client's to say ([`FailureKind`]); what it costs is counted here, in the turn's budget, before
//! anything is asked again.

use letta_client::{BackendError, Conversation, FailureKind, Reaction, TurnFailure};
use tracing::{info, warn};

use super::{
    Inner,
    attend::Attended,
    budget::{self, Cost},
    listen::{Next, Outcome, Told, Trouble},
    notice::Wait,
    stage::Stage,
    words,
};
use crate::journal::{JournalError, TurnRecord};

impl Inner {
    /// What to do after trouble.
    pub(super) async fn after(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        trouble: Trouble,
    ) -> Result<Next, JournalError> {
        let (failure, broke) = match trouble {
            Trouble::Inside(failure, told) => {
                return self.after_inside(turn, stage, wait, failure, told).await;
            }
            Trouble::NotOpened(failure) => (failure, false),
            Trouble::Broken(failure) => (failure, true),
        };
        // How long Letta was away before a stream broke is not this turn's failure, but that it broke is.
        if broke || budget::cost(&failure) == Cost::Failure {
            turn.spent.failures += 1;
        }
        info!(
            turn.id = %turn.id, code = failure.code(), broke, failures = turn.spent.failures,
            error = &failure as &dyn std::error::Error, detail = detail_of(&failure),
            "Letta has failed"
        );
        self.keep(turn).await?;
        match failure.kind() {
            FailureKind::RunGone if turn.run.take().is_some() => {
                // Letta has lost the run; the prompts are sent again, as often as the budget allows.
                Ok(Next::Ask { sent: false })
            }
            FailureKind::AgentGone => Ok(gone(stage)),
            _ if matches!(failure, BackendError::RunDied { .. }) => self.run_died(turn).await,
            FailureKind::ConversationGone => {
                self.conversation_gone(turn, stage, wait, failure).await
            }
            _ if broke && is_lost_stream(&failure) => {
                match self.is_gone(turn, stage, wait).await? {
                    Attended::Done(true) => Ok(gone(stage)),
                    Attended::Done(false) => Ok(Next::Wait(failure)),
                    Attended::Stopped => Ok(stopped(stage)),
                    Attended::Ending => Ok(Next::Over(Outcome::Ending)),
                }
            }
            _ => self.after_refusal(turn, stage, wait, failure).await,
        }
    }

    async fn after_refusal(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &mut Wait,
        failure: BackendError,
    ) -> Result<Next, JournalError> {
        let journal = &self.around.journal;
        match &failure {
            BackendError::Moved { to } => {
                // Its run stays behind.
                turn.run = None;
                journal.set_conversation(&turn.key, &Conversation::Own(to.clone()))?;
                journal.durable().await?;
                Ok(Next::Ask { sent: false })
            }
            BackendError::ApprovalPending => match self.find_pending(turn, stage, wait).await? {
                Attended::Done(Some(pending)) => {
                    Ok(over(Told::instead(pending.request, !pending.is_ours)))
                }
                Attended::Done(None) => {
                    // The segment stays, and with it the notice that the room has of it.
                    turn.renew_keys();
                    turn.run = None;
                    journal.update_turn(turn)?;
                    Ok(Next::Wait(failure))
                }
                Attended::Stopped => Ok(stopped(stage)),
                Attended::Ending => Ok(Next::Over(Outcome::Ending)),
            },
            BackendError::RunDied { .. } => self.run_died(turn).await,
            BackendError::NotPending | BackendError::Forgotten { .. } => {
                self.decided_on_nothing(turn, stage, wait, failure).await
            }
            _ if pauses(&failure) => {
                let reason = words::pause_reason(&failure.kind(), failure.code());
                self.pauses
                    .pause(&turn.key.agent, reason, failure.kind().retry_after())?;
                Ok(Next::Ask { sent: false })
            }
            _ if failure.kind().reaction() == Reaction::Wait => Ok(Next::Wait(failure)),
            _ => Ok(Next::Over(Outcome::Failed(words::refused(&failure)))),
        }
    }

    /// Letta was stopped in the middle of a run and does not go on with it.
    async fn run_died(&self, turn: &mut TurnRecord) -> Result<Next, JournalError> {
        turn.run = None;
        if turn.decided().is_some() {
            // The tool may have run, so it is not asked for again.
            return Ok(over(Told::end(String::new(), Some(words::broke_off()))));
        }
        turn.renew_keys();
        self.keep(turn).await?;
        Ok(Next::Ask { sent: false })
    }

    /// Letta has told the failure in the stream.
    async fn after_inside(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
        failure: TurnFailure,
        mut told: Told,
    ) -> Result<Next, JournalError> {
        if failure.kind.pauses_agent() {
            let reason = words::pause_reason(&failure.kind, &failure.code);
            self.pauses
                .pause(&turn.key.agent, reason, failure.kind.retry_after())?;
            // Nothing was said and no tool was called: the same can be asked again when the pause is over.
            if !stage.has_spoken() && turn.decided().is_none() && !turn.prompts.is_empty() {
                turn.resend();
                self.keep(turn).await?;
                return Ok(Next::Ask { sent: false });
            }
            return Ok(over(told));
        }
        let may_be_gone = !matches!(
            failure.kind,
            FailureKind::ContextOverflow | FailureKind::Overloaded { .. }
        );
        if may_be_gone {
            match self.is_gone(turn, stage, wait).await? {
                Attended::Done(true) => return Ok(gone(stage)),
                Attended::Done(false) => {}
                Attended::Stopped => {
                    told.answer.remark = Some(words::stopped());
                    return Ok(over(told));
                }
                Attended::Ending => return Ok(Next::Over(Outcome::Ending)),
            }
        }
        Ok(over(told))
    }

    /// Letta does not know the conversation. It says so of the conversations of an agent that is gone as well.
    async fn conversation_gone(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
        failure: BackendError,
    ) -> Result<Next, JournalError> {
        let journal = &self.around.journal;
        match self.is_gone(turn, stage, wait).await? {
            Attended::Done(true) => return Ok(gone(stage)),
            Attended::Done(false) => {}
            Attended::Stopped => return Ok(stopped(stage)),
            Attended::Ending => return Ok(Next::Over(Outcome::Ending)),
        }
        if journal.conversation(&turn.key)?.is_none() {
            return Ok(Next::Wait(failure));
        }
        warn!(turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room, "Letta has lost a conversation");
        journal.forget_conversation(&turn.key)?;
        turn.run = None;
        self.keep(turn).await?;
        let lost = self
            .voice(turn)
            .remark(turn, "lost", &words::conversation_lost());
        self.around.outbox.say(&lost).await?;
        match &mut turn.ask {
            Some(ask) if ask.verdict.is_some() => {
                // What was decided on is lost with the conversation.
                ask.forgotten = true;
                let (is_stopped, is_ours) = (ask.is_stopped(), !ask.found);
                if is_stopped {
                    return Ok(over(Told::end(String::new(), None)));
                }
                if !is_ours || turn.prompts.is_empty() {
                    return Ok(Next::Over(Outcome::Failed(words::refused(&failure))));
                }
                turn.renew_keys();
                self.keep(turn).await?;
                Ok(Next::Ask { sent: false })
            }
            _ => Ok(Next::Ask { sent: true }),
        }
    }

    /// What to do when nothing waits for what was decided.
    async fn decided_on_nothing(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
        failure: BackendError,
    ) -> Result<Next, JournalError> {
        let forgotten = matches!(failure, BackendError::Forgotten { .. });
        // V1 names a run before it refuses a decision inside the stream.
        turn.run = None;
        match self.follow_outside_decision(turn, stage, wait).await? {
            Attended::Done(true) => return Ok(Next::Ask { sent: true }),
            Attended::Done(false) => {}
            Attended::Stopped => return Ok(stopped(stage)),
            Attended::Ending => return Ok(Next::Over(Outcome::Ending)),
        }
        if let Some(ask) = &mut turn.ask {
            ask.forgotten = forgotten;
        }
        // Letta may have begun anew and ask the same again under another name. A decision on
        // something else is not taken for one on this.
        match self.find_pending(turn, stage, wait).await? {
            Attended::Done(Some(pending)) => {
                return Ok(over(Told::instead(pending.request, !pending.is_ours)));
            }
            Attended::Done(None) => {}
            Attended::Stopped => return Ok(stopped(stage)),
            Attended::Ending => return Ok(Next::Over(Outcome::Ending)),
        }
        match turn.ask.as_ref().filter(|ask| !ask.found) {
            // Nobody wants it any more.
            Some(ask) if ask.is_stopped() => Ok(over(Told::end(String::new(), None))),
            Some(_) if forgotten && !turn.prompts.is_empty() => {
                self.keep(turn).await?;
                Ok(Next::Ask { sent: false })
            }
            // It was ours that came through, and its stream was lost.
            Some(ask) if !forgotten && !ask.untold => {
                Ok(over(Told::end(String::new(), Some(words::cut_off()))))
            }
            _ => Ok(Next::Over(Outcome::Failed(words::refused(&failure)))),
        }
    }

    /// Whether Letta has no such agent any more: known already, or asked for.
    async fn is_gone(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
    ) -> Result<Attended<bool>, JournalError> {
        if self.is_known_gone(&turn.key.agent)? {
            return Ok(Attended::Done(true));
        }
        let look = self.around.backend.agent(&turn.key.agent);
        Ok(
            match self.attend_wait(turn, stage, wait, None, look).await? {
                Attended::Done(found) => Attended::Done(matches!(found, Ok(None))),
                Attended::Stopped => Attended::Stopped,
                Attended::Ending => Attended::Ending,
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

fn over(told: Told) -> Next {
    Next::Over(Outcome::Told(told))
}

fn gone(stage: &Stage) -> Next {
    Next::Over(Outcome::Failed(words::agent_gone(stage.has_spoken())))
}

fn stopped(stage: &Stage) -> Next {
    over(Told::end(stage.reply.text(), Some(words::stopped())))
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
