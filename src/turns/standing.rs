//! Looking at what Letta knows before it is told a decision, or asked again.
//!
//! A request can be decided outside of Matrix, in Letta's own app, while its approval message is open here. V1 takes a second
//! decision all the same and runs the model again, whatever it says. So a decision is looked for before the approval message
//! names a person, and while it is open.

use std::time::Duration;

use letta_client::{BackendError, Destination, Standing};
use tracing::{debug, info};

use super::{Inner, words};
use crate::journal::{Ask, By, JournalError, TurnRecord, Verdict};

/// The wait before an open request is looked at; it doubles each time.
const LOOK_MIN: Duration = Duration::from_secs(10);
/// The longest wait before an open request is looked at again.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How long a look may take before a person's decision is told without it.
const LOOK_TIME_MAX: Duration = Duration::from_secs(10);

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

    /// Replaces a decision that Letta has not been told by the one that was taken outside of Matrix, if there is one.
    pub(super) async fn look_before_telling(
        &self,
        mut turn: TurnRecord,
    ) -> Result<TurnRecord, JournalError> {
        let Some((ask, verdict)) = turn.decided() else {
            return Ok(turn);
        };
        if matches!(verdict.by, By::Elsewhere(_)) || !ask.untold {
            return Ok(turn);
        }
        let approve = verdict.approve;
        let looked = tokio::time::timeout(LOOK_TIME_MAX, self.standing(&turn, ask)).await;
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
        Ok(turn)
    }

    /// Letta has refused a decision of ours: goes on from the one that it has, and lets the approval message say so. `false`:
    /// it has none.
    pub(super) async fn follow_outside_decision(
        &self,
        turn: &mut TurnRecord,
    ) -> Result<bool, JournalError> {
        let Some((ask, verdict)) = turn.decided() else {
            return Ok(false);
        };
        if matches!(verdict.by, By::Elsewhere(_)) {
            return Ok(false);
        }
        let Ok(Some(outside)) = self.standing(turn, ask).await else {
            return Ok(false);
        };
        let By::Elsewhere(run) = &outside.by else {
            return Ok(false);
        };
        let run = run.clone();
        if let Some(card) = self.around.outbox.event_of(&ask.card).await? {
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
        Ok(true)
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
