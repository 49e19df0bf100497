//! Asking a person, and waiting for what they say.

use letta_client::{ApprovalRequest, Destination, HistoryItem, Role};
use tracing::{debug, info, warn};

use super::{
    Inner, interruptible::WaitOutcome, messages::MessageBuilder, notice_texts,
    open_stream::HISTORY_MESSAGES_MAX, reaction_command::ReactionCommand, segment::Failure,
    turn_view::TurnView, wait_notice::Wait,
};
use crate::{
    journal::{
        ApprovalDecision, ApprovalRecord, DecidedApproval, DecidedBy, JournalError, TurnRecord,
        TurnState,
    },
    matrix::Actor,
    time::Millis,
};

/// A request that waits in Letta.
pub(super) struct Pending {
    pub(super) request: ApprovalRequest,
    /// Whether the turn has set it going that has found it.
    pub(super) is_ours: bool,
}

impl Inner {
    /// What the room is asked at the end of a turn's segment.
    pub(super) fn new_approval(
        &self,
        turn: &TurnRecord,
        request: &ApprovalRequest,
        found: bool,
    ) -> ApprovalRecord {
        let approval_message = turn.segment_id().approval_message();
        let until = Millis::now().plus(self.ctx.config.approval_timeout);
        let approval = ApprovalRecord::new(request, approval_message, until);
        ApprovalRecord { found, ..approval }
    }

    /// Whether an admin allows the agent of a turn to use all that it asks about, always.
    pub(super) fn is_allowed(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
    ) -> Result<bool, JournalError> {
        let allowed = self.ctx.journal.allowed_tools(&turn.key.agent)?;
        Ok(approval
            .calls
            .iter()
            .all(|call| allowed.contains_key(&call.tool)))
    }

    /// What waits in the conversation of a turn, and whether the turn has set it going.
    pub(super) async fn find_pending(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
    ) -> Result<WaitOutcome<Option<Pending>>, JournalError> {
        let look = async {
            let destination = self.destination(&turn.key).await?;
            let Some(request) = self.ctx.backend.pending_approval(&destination).await? else {
                return Ok(None);
            };
            let is_ours = self.has_asked(turn, &destination, &request).await;
            Ok::<_, Failure>(Some(Pending { request, is_ours }))
        };
        let found = match self
            .wait_interruptible(turn, view, wait, None, look)
            .await?
        {
            WaitOutcome::Done(found) => found,
            WaitOutcome::Stopped => return Ok(WaitOutcome::Stopped),
            WaitOutcome::ShuttingDown => return Ok(WaitOutcome::ShuttingDown),
        };
        match found {
            Ok(pending) => Ok(WaitOutcome::Done(pending)),
            Err(Failure::Journal(failure)) => Err(failure),
            Err(failure) => {
                warn!(turn.id = %turn.id, error = &failure as &dyn std::error::Error, "could not fetch pending approval requests");
                Ok(WaitOutcome::Done(None))
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
        if let Some(approval) = turn.state().approval()
            && approval.has_same_tool_calls(request)
        {
            return !approval.found;
        }
        let history = self.ctx.backend.history(destination, HISTORY_MESSAGES_MAX);
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
    pub(super) async fn wait_for_decision(
        &self,
        turn: &TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some(approval) = turn.waits_for() else {
            return Ok(Some(turn.clone()));
        };
        let journal = &self.ctx.journal;
        let mut decisions_made = self.decisions_made.subscribe();
        let mut offered = false;
        let outside = self.wait_for_external_decision(turn, approval);
        tokio::pin!(outside);
        loop {
            decisions_made.mark_unchanged();
            let now = journal.open_turn(&turn.key)?;
            if let Some(now) = now.filter(|now| now.waits_for().is_none()) {
                // Nobody acts on a decision that a crash could take back.
                journal.durable().await?;
                return Ok(Some(now));
            }
            let left = approval.until.since(Millis::now());
            tokio::select! {
                approval_message = self.ctx.outbox.event_of(&approval.approval_message), if !offered => {
                    offered = true;
                    if let Some(approval_message) = approval_message? {
                        for choice in self.message_builder(turn).decision_reactions(turn, approval, &approval_message) {
                            self.ctx.outbox.enqueue(&choice).await?;
                        }
                    }
                }
                // The sender lives as long as `self`.
                _ = decisions_made.changed() => {}
                () = tokio::time::sleep(left) => self.time_is_up(turn, approval)?,
                decision = &mut outside => {
                    journal.decide(&turn.key, &approval.approval_message, &decision)?;
                    outside.set(self.wait_for_external_decision(turn, approval));
                }
                () = self.ctx.tasks.closing() => return Ok(None),
            }
        }
    }

    /// The voice of a turn's agent, for what rings for nobody.
    pub(super) fn message_builder(&self, turn: &TurnRecord) -> MessageBuilder {
        MessageBuilder {
            ghost: self.ctx.identity.ghost(&turn.key.agent),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        }
    }

    fn time_is_up(&self, turn: &TurnRecord, approval: &ApprovalRecord) -> Result<(), JournalError> {
        let decision = ApprovalDecision {
            approve: false,
            reason: Some(notice_texts::nobody_decided(
                self.ctx.config.approval_timeout,
            )),
            by: DecidedBy::Timeout,
        };
        self.ctx
            .journal
            .decide(&turn.key, &approval.approval_message, &decision)?;
        Ok(())
    }

    /// Lets the approval message say who has decided what, and begins the segment that follows. `None`: the
    /// process is about to end.
    pub(super) async fn deliver_decision(
        &self,
        turn: TurnRecord,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some(turn) = self.prefer_external_decision(turn).await? else {
            return Ok(None);
        };
        let TurnState::Decided(DecidedApproval { approval, decision }) = turn.state() else {
            return Ok(Some(turn));
        };
        let approval_message = self.ctx.outbox.event_of(&approval.approval_message).await?;
        if approval_message.is_none() && self.ctx.tasks.is_stopping() {
            return Ok(None);
        }
        let is_redacted = self.ctx.journal.is_redacted(&turn.id)?;
        let approval_message = approval_message.filter(|_| !is_redacted);
        let said = approval_message.map(|approval_message| {
            self.message_builder(&turn)
                .decision(&turn, approval, decision, &approval_message)
        });
        info!(
            turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room,
            approve = decision.approve, by = ?decision.by, calls = approval.calls.len(),
            "approval request decided"
        );
        let mut next = turn.clone();
        next.advance(TurnState::resume)?;
        let journal = &self.ctx.journal;
        journal.end_segment(&next, said.as_slice())?;
        journal.durable().await?;
        self.ctx.outbox.wake(&turn.key.room);
        self.withdraw_unused_choices(&turn, approval, decision)?;
        Ok(Some(next))
    }

    /// Takes the agent's own signs back that nobody has used. Tried once: what stays says nothing that is wrong.
    fn withdraw_unused_choices(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        decision: &ApprovalDecision,
    ) -> Result<(), JournalError> {
        let used = match (&decision.by, decision.approve) {
            (DecidedBy::Person(_), true) => Some(ReactionCommand::Approve),
            (DecidedBy::Person(_), false) => Some(ReactionCommand::Deny),
            _ => None,
        };
        for choice in [ReactionCommand::Approve, ReactionCommand::Deny] {
            let send_id = approval.approval_message.derived(choice.word());
            let Some(event) = self.ctx.journal.event_of(&send_id)?.flatten() else {
                continue;
            };
            if used == Some(choice) {
                continue;
            }
            let (homeserver, room) = (self.ctx.homeserver.clone(), turn.key.room.clone());
            let ghost = self.ctx.identity.ghost(&turn.key.agent);
            self.ctx.tasks.spawn(async move {
                let actor = Actor::Ghost(&ghost);
                let send_id = send_id.derived("unused");
                if let Err(error) = homeserver
                    .redact(actor, (&room, &event), None, &send_id)
                    .await
                {
                    debug!(room.id = %room, %error, "could not take back an unused reaction");
                }
            });
        }
        Ok(())
    }
}
