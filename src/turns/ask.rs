//! Asking a person, and waiting for what they say.

use letta_client::{ApprovalRequest, Destination, HistoryItem, Role};
use tracing::{info, warn};

use super::{
    Inner, attend::Attended, listen::Failure, notice::Wait, open::HISTORY_MESSAGES_MAX, say::Voice,
    stage::Stage, words,
};
use crate::{
    journal::{Ask, By, JournalError, TurnRecord, Verdict},
    time::Millis,
};

/// A request that waits in Letta.
pub(super) struct Pending {
    pub(super) request: ApprovalRequest,
    /// Whether the turn has set it going that has found it.
    pub(super) is_ours: bool,
}

impl Inner {
    /// What the room is asked at the end of a turn's chapter.
    pub(super) fn ask(&self, turn: &TurnRecord, request: &ApprovalRequest, found: bool) -> Ask {
        let card = turn.chapter_id().card();
        let until = Millis::now().plus(self.around.habits.approval_timeout);
        let ask = Ask::new(request, card, until);
        Ask { found, ..ask }
    }

    /// Whether an admin allows the agent of a turn to use all that it asks about, always.
    pub(super) fn is_allowed(&self, turn: &TurnRecord, ask: &Ask) -> Result<bool, JournalError> {
        let allowed = self.around.journal.allowed_tools(&turn.key.agent)?;
        Ok(ask
            .calls
            .iter()
            .all(|call| allowed.contains_key(&call.tool)))
    }

    /// What waits in the conversation of a turn, and whether the turn has set it going.
    pub(super) async fn find_pending(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
    ) -> Result<Attended<Option<Pending>>, JournalError> {
        let look = async {
            let destination = self.destination(&turn.key).await?;
            let Some(request) = self.around.backend.pending(&destination).await? else {
                return Ok(None);
            };
            let is_ours = self.has_asked(turn, &destination, &request).await;
            Ok::<_, Failure>(Some(Pending { request, is_ours }))
        };
        let found = match self.attend_wait(turn, stage, wait, None, look).await? {
            Attended::Done(found) => found,
            Attended::Stopped => return Ok(Attended::Stopped),
            Attended::Ending => return Ok(Attended::Ending),
        };
        match found {
            Ok(pending) => Ok(Attended::Done(pending)),
            Err(Failure::Journal(failure)) => Err(failure),
            Err(failure) => {
                warn!(turn.id = %turn.id, error = &failure as &dyn std::error::Error, "cannot find out what waits for a decision");
                Ok(Attended::Done(None))
            }
        }
    }

    /// Whether a request that waits in Letta comes from this turn: who has asked keeps the right to decide, and nobody else
    /// gets it. It does if the room was asked about the very same calls before, or if the last thing that a person has said in
    /// the conversation is a prompt of the turn.
    async fn has_asked(
        &self,
        turn: &TurnRecord,
        destination: &Destination,
        request: &ApprovalRequest,
    ) -> bool {
        if let Some(ask) = &turn.ask
            && ask.is_about(request)
        {
            return !ask.found;
        }
        let history = self
            .around
            .backend
            .history(destination, HISTORY_MESSAGES_MAX);
        let history = match history.await {
            Ok(history) => history,
            Err(error) => {
                warn!(turn.id = %turn.id, %error, "cannot find out who has set a request going; only admins may approve it");
                return false;
            }
        };
        let said = |item: &&HistoryItem| item.role == Role::User;
        let is_own = |item: &HistoryItem| item.key.as_deref().is_some_and(|key| turn.has_key(key));
        let Some(last) = history.iter().rev().find(said) else {
            return false;
        };
        // Letta itself says something within a run, such as that a tool has failed.
        let same_run = |item: &&HistoryItem| item.run.is_some() && item.run == last.run;
        is_own(last) || history.iter().filter(same_run).any(is_own)
    }

    /// Waits until somebody has decided, or nobody has in time. `None`: the process is about to
    /// end.
    pub(super) async fn wait_for_verdict(
        &self,
        turn: &TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some(ask) = turn.waits_for() else {
            return Ok(Some(turn.clone()));
        };
        let journal = &self.around.journal;
        let mut verdicts = self.verdicts.subscribe();
        let mut offered = false;
        let outside = self.decided_outside(turn, ask);
        tokio::pin!(outside);
        loop {
            verdicts.mark_unchanged();
            let now = journal.open_turn(&turn.key)?;
            if let Some(now) = now.filter(|now| now.waits_for().is_none()) {
                // Nobody acts on a verdict that a crash could take back.
                journal.durable().await?;
                return Ok(Some(now));
            }
            let left = ask.until.since(Millis::now());
            tokio::select! {
                card = self.around.outbox.event_of(&ask.card), if !offered => {
                    offered = true;
                    if let Some(card) = card? {
                        for choice in self.voice(turn).choices(turn, ask, &card) {
                            self.around.outbox.say(&choice).await?;
                        }
                    }
                }
                // The sender lives as long as `self`.
                _ = verdicts.changed() => {}
                () = tokio::time::sleep(left) => self.time_is_up(turn, ask)?,
                verdict = &mut outside => {
                    journal.decide(&turn.key, &ask.card, &verdict)?;
                    outside.set(self.decided_outside(turn, ask));
                }
                () = self.around.tasks.closing() => return Ok(None),
            }
        }
    }

    /// The voice of a turn's agent, for what rings for nobody.
    pub(super) fn voice(&self, turn: &TurnRecord) -> Voice {
        Voice {
            ghost: self.around.identity.ghost(&turn.key.agent),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        }
    }

    fn time_is_up(&self, turn: &TurnRecord, ask: &Ask) -> Result<(), JournalError> {
        let verdict = Verdict {
            approve: false,
            reason: Some(words::nobody_decided(self.around.habits.approval_timeout)),
            by: By::Timeout,
        };
        self.around.journal.decide(&turn.key, &ask.card, &verdict)?;
        Ok(())
    }

    /// Lets the card say who has decided what, and begins the chapter that follows. `None`: the
    /// process is about to end.
    pub(super) async fn take_verdict(
        &self,
        turn: TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some(turn) = self.look_before_telling(turn).await? else {
            return Ok(None);
        };
        let Some((ask, verdict)) = turn.decided() else {
            return Ok(Some(turn));
        };
        let card = self.around.outbox.event_of(&ask.card).await?;
        if card.is_none() && self.around.tasks.is_stopping() {
            return Ok(None);
        }
        let is_redacted = self.around.journal.is_redacted(&turn.id)?;
        let card = card.filter(|_| !is_redacted);
        let said = card.map(|card| self.voice(&turn).verdict(&turn, ask, verdict, &card));
        info!(
            turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room,
            approve = verdict.approve, by = ?verdict.by, calls = ask.calls.len(),
            "a request was decided"
        );
        let mut next = turn.clone();
        next.turn_the_page();
        if let (By::Elsewhere(run), Some(ask)) = (&verdict.by, &mut next.ask) {
            next.run = Some(run.clone());
            ask.untold = false;
        }
        let journal = &self.around.journal;
        journal.end_chapter(&next, said.as_slice())?;
        journal.durable().await?;
        self.around.outbox.wake(&turn.key.room);
        Ok(Some(next))
    }
}
