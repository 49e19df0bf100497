//! Waiting for something without losing sight of the rest: that the turn shall stop, that the process ends, and that the room is
//! told why it waits.

use std::time::Duration;

use letta_client::BackendError;
use tokio::time::Instant;
use tracing::debug;

use super::{
    Inner, budget,
    pauses::{PauseCheck, TrialRequest},
    turn_view::TurnView,
    wait_notice::Wait,
};
use crate::journal::{ConversationKey, JournalError, TurnRecord};

/// How long a turn that was stopped may take to end by itself.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long Letta may take to hear that something shall stop.
pub(super) const CANCEL_TIME_MAX: Duration = Duration::from_secs(10);

/// How something that was waited for came out.
pub(super) enum WaitOutcome<T> {
    /// It came.
    Done(T),
    /// The turn shall stop.
    Stopped,
    /// The process is about to end.
    ShuttingDown,
}

/// What is heard while something is waited for.
#[derive(Clone, Copy)]
struct InterruptPolicy {
    /// How long it may go on after somebody wants the turn to stop.
    grace: Duration,
    /// Whether it may still end by itself when nothing new is begun any more.
    may_finish: bool,
    /// Until when it takes, if that is known.
    until: Option<Instant>,
}

impl Inner {
    /// Takes a step that asks Letta.
    pub(super) async fn run_interruptible<T>(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        step: impl Future<Output = T>,
    ) -> Result<WaitOutcome<T>, JournalError> {
        let policy = InterruptPolicy {
            grace: STOP_GRACE,
            may_finish: true,
            until: None,
        };
        self.interruptible(turn, view, wait, policy, step).await
    }

    /// Waits; `until`: how long, if that is known.
    pub(super) async fn wait_interruptible<T>(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        until: Option<Instant>,
        event: impl Future<Output = T>,
    ) -> Result<WaitOutcome<T>, JournalError> {
        let policy = InterruptPolicy {
            grace: Duration::ZERO,
            may_finish: false,
            until,
        };
        self.interruptible(turn, view, wait, policy, event).await
    }

    async fn interruptible<T>(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        policy: InterruptPolicy,
        event: impl Future<Output = T>,
    ) -> Result<WaitOutcome<T>, JournalError> {
        let tasks = &self.ctx.tasks;
        let stopped = async {
            self.stops.requested(&turn.id).await;
            tokio::time::sleep(policy.grace).await;
        };
        let ending = async {
            if policy.may_finish {
                tasks.stopping().await;
            } else {
                tasks.closing().await;
            }
        };
        let tell = tokio::time::sleep_until(wait.tell_at(policy.until));
        tokio::pin!(event, stopped, ending, tell);
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                done = &mut event => return Ok(WaitOutcome::Done(done)),
                () = &mut stopped => return Ok(WaitOutcome::Stopped),
                () = &mut ending => return Ok(WaitOutcome::ShuttingDown),
                confirmed = view.notice.until_confirmed() => confirmed?,
                () = &mut tell, if !told => {
                    told = true;
                    self.tell_wait(turn, view, wait).await?;
                }
            }
        }
    }

    /// What comes of something that no turn waits for, unless the process is about to end before.
    pub(super) async fn unless_ending<T>(&self, event: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = event => Some(done),
            () = self.ctx.tasks.stopping() => None,
        }
    }

    /// Waits before Letta is asked again.
    pub(super) async fn wait_for_letta(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
        failure: &BackendError,
    ) -> Result<WaitOutcome<()>, JournalError> {
        let pause = wait.failed(failure);
        debug!(turn.id = %turn.id, ?pause, error = %failure, "retrying the request to Letta later");
        let (began, mut returns) = (Instant::now(), self.ctx.letta_reconnects.clone());
        returns.mark_unchanged();
        // Who names a time is not asked before.
        let is_named = failure.kind().retry_after().is_some();
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = returns.changed(), if !is_named => {}
            }
        };
        let attended = self
            .wait_interruptible(turn, view, wait, Some(began + pause), over)
            .await?;
        view.record_wait(turn);
        self.count_wait(turn, began)?;
        Ok(attended)
    }

    /// Waits while the agent is paused. `Done(None)`: something has changed; look again.
    pub(super) async fn wait_while_paused(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        wait: &mut Wait,
    ) -> Result<WaitOutcome<Option<Option<TrialRequest>>>, JournalError> {
        let mut changes = self.pauses.changes();
        changes.mark_unchanged();
        let (pause, until) = match self.pauses.permit(&turn.key.agent) {
            PauseCheck::Proceed(attempt) => return Ok(WaitOutcome::Done(Some(attempt))),
            PauseCheck::Wait(pause, until) => (pause, until),
        };
        wait.paused(&pause);
        let told = view.notice.pause_told();
        self.tell_queue_of_pause(turn, told, &pause).await?;
        let began = Instant::now();
        let left = budget::WAIT_MAX.saturating_sub(budget::waited(&turn.spent));
        let over = async {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        };
        let attended = self
            .wait_interruptible(turn, view, wait, Some(until), over)
            .await?;
        view.record_wait(turn);
        self.count_wait(turn, began)?;
        Ok(match attended {
            WaitOutcome::Done(()) => WaitOutcome::Done(None),
            WaitOutcome::Stopped => WaitOutcome::Stopped,
            WaitOutcome::ShuttingDown => WaitOutcome::ShuttingDown,
        })
    }

    /// Writes down how long a turn has waited.
    fn count_wait(&self, turn: &mut TurnRecord, began: Instant) -> Result<(), JournalError> {
        budget::add_wait(&mut turn.spent, began.elapsed());
        // A crash may take back the last wait, and no more.
        self.ctx.journal.update_turn(turn)
    }

    /// Lets Letta know that what runs in a conversation shall stop, beside everything else.
    pub(super) fn cancel(&self, key: &ConversationKey) {
        let Ok(Some(destination)) = self.known_destination(key) else {
            return;
        };
        let backend = std::sync::Arc::clone(&self.ctx.backend);
        let (room, tasks) = (key.room.clone(), self.ctx.tasks.clone());
        self.ctx.tasks.spawn(async move {
            let told = tokio::time::timeout(CANCEL_TIME_MAX, backend.cancel(&destination));
            tokio::select! {
                told = told => if !matches!(told, Ok(Ok(_))) {
                    debug!(room.id = %room, "could not cancel the run");
                },
                () = tasks.stopping() => {}
            }
        });
    }
}
