//! Looking at what Letta knows before it is told a decision, or asked again.
//!
//! A request can be decided outside of Matrix, in Letta's own app, while its approval message is open here. V1 takes a second
//! decision all the same and runs the model again, whatever it says. So a decision is looked for before the approval message
//! names a person, and while it is open.

use std::time::Duration;

use letta_client::{BackendError, Destination, Standing};
use tracing::{debug, info};

use super::{Inner, attend::Attended, notice::Wait, stage::Stage, words};
use crate::journal::{Ask, By, JournalError, TurnRecord, Verdict};

/// The wait before an open request is looked at; it doubles each time.
const LOOK_MIN: Duration = Duration::from_secs(10);
/// The longest wait before an open request is looked at again.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How long a look may take before a person's decision is told without it, or others are kept waiting for it.
pub(super) const LOOK_TIME_MAX: Duration = Duration::from_secs(10);

impl Inner {
    /// The decision on an open request that somebody takes outside of Matrix. Does not return before there is one.
    pub(super) async fn decided_outside(&self, turn: &TurnRecord, ask: &Ask) -> Verdict {
        let mut wait = LOOK_MIN;
        loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_MAX);
            match self.standing(turn, ask).await {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(error) => debug!(turn.id = %turn.id, %error, "cannot look at an open request"),
            }
        }
    }

    /// Replaces a decision that Letta has not been told by the one that was taken outside of Matrix, if there is one; or by that
    /// of who stops the turn meanwhile. `None`: the process is about to end.
    pub(super) async fn look_before_telling(
        &self,
        mut turn: TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some((ask, verdict)) = turn.decided() else {
            return Ok(Some(turn));
        };
        if matches!(verdict.by, By::Elsewhere(_)) || !ask.untold {
            return Ok(Some(turn));
        }
        let approve = verdict.approve;
        let (mut stage, wait) = (self.set_stage(&turn, true).await?, Wait::begin(&turn));
        let look = tokio::time::timeout(LOOK_TIME_MAX, self.standing(&turn, ask));
        let looked = self.attend_wait(&turn, &mut stage, &wait, None, look);
        let looked = match looked.await? {
            Attended::Done(looked) => looked,
            Attended::Stopped => {
                self.deny_because_stopped(&mut turn).await?;
                Ok(Ok(None))
            }
            Attended::Ending => return Ok(None),
        };
        self.end_wait(&turn, &mut stage, &wait, false).await?;
        if stage.notice.is_pending() {
            stage.notice.confirmed().await?;
            self.finish_notice(&turn, &mut stage).await?;
        }
        let outside = match looked {
            Ok(Ok(outside)) => outside,
            Ok(Err(error)) => {
                debug!(turn.id = %turn.id, %error, "a decision is told without a look before");
                None
            }
            Err(_) => None,
        };
        if let (Some(outside), Some(ask)) = (outside, &mut turn.ask) {
            info!(turn.id = %turn.id, approve, outside = outside.approve, "a request was decided outside of Matrix before");
            ask.verdict = Some(outside);
            self.keep(&turn).await?;
        }
        Ok(Some(turn))
    }

    /// Whoever stops a turn while Letta has not heard yet that tools may run, does not want them to.
    async fn deny_because_stopped(&self, turn: &mut TurnRecord) -> Result<(), JournalError> {
        let Some(by) = self.stops.by(&turn.id) else {
            return Ok(());
        };
        if let Some(verdict) = turn.ask.as_mut().and_then(|ask| ask.verdict.as_mut())
            && verdict.approve
        {
            *verdict = Verdict::stopped(by);
            self.keep(turn).await?;
        }
        Ok(())
    }

    /// Letta has refused a decision of ours: goes on from the one that it has, and lets the approval message say so. `false`:
    /// it has none.
    pub(super) async fn follow_outside_decision(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
    ) -> Result<Attended<bool>, JournalError> {
        let Some((ask, verdict)) = turn.decided() else {
            return Ok(Attended::Done(false));
        };
        if matches!(verdict.by, By::Elsewhere(_)) {
            return Ok(Attended::Done(false));
        }
        let look = async {
            let Ok(Some(outside)) = self.standing(turn, ask).await else {
                return Ok(None);
            };
            // The approval message is to be corrected, whichever event it became.
            let card = self.around.outbox.event_of(&ask.card).await?;
            Ok::<_, JournalError>(Some((outside, card)))
        };
        let (outside, card) = match self.attend_wait(turn, stage, wait, None, look).await? {
            Attended::Done(found) => match found? {
                Some(found) => found,
                None => return Ok(Attended::Done(false)),
            },
            Attended::Stopped => return Ok(Attended::Stopped),
            Attended::Ending => return Ok(Attended::Ending),
        };
        let By::Elsewhere(run) = &outside.by else {
            return Ok(Attended::Done(false));
        };
        let run = run.clone();
        if let Some(card) = card {
            let said = self
                .voice(turn)
                .corrected_verdict(turn, ask, &outside, &card);
            self.around.outbox.say(&said).await?;
        }
        turn.run = Some(run);
        if let Some(ask) = &mut turn.ask {
            ask.verdict = Some(outside);
            ask.untold = false;
        }
        self.keep(turn).await?;
        Ok(Attended::Done(true))
    }

    /// The decision that Letta has on a request, if it is not one of ours.
    async fn standing(
        &self,
        turn: &TurnRecord,
        ask: &Ask,
    ) -> Result<Option<Verdict>, BackendError> {
        let Ok(Some(destination)) = self.known_destination(&turn.key) else {
            return Ok(None);
        };
        self.outside_verdict(&destination, ask).await
    }

    /// The same, in this conversation.
    pub(super) async fn outside_verdict(
        &self,
        destination: &Destination,
        ask: &Ask,
    ) -> Result<Option<Verdict>, BackendError> {
        let backend = &self.around.backend;
        Ok(match backend.standing(destination, &ask.request()).await? {
            Standing::Decided {
                approve,
                run: Some(run),
            } => Some(Verdict {
                approve,
                reason: Some(words::decided_outside(approve).to_owned()),
                by: By::Elsewhere(run),
            }),
            // What runs is followed by who tells the decision.
            Standing::Decided { run: None, .. } | Standing::Runs(_) | Standing::Waits => None,
        })
    }
}
