//! Getting Letta to answer: which conversation, which prompts, and whether it was asked before.

use letta_client::{BackendError, Destination, FailureKind, RunId, ToolPolicy, TurnStream};

use super::{Inner, budget};
use crate::{
    journal::{
        ConversationKey, DecidedApproval, Delivery, JournalError, RoomKind, TurnRecord, TurnState,
    },
    turns::segment::Failure,
};

/// How far back to look for a prompt that may have arrived before, in stored messages.
pub(super) const HISTORY_MESSAGES_MAX: usize = 50;

impl Inner {
    /// A stream of the turn's segment: of its run if there is one, else of a new one.
    ///
    /// `again`: the prompts may have been sent before. Servers that know them by their keys give
    /// the same run; with others the conversation's history tells. A decision is simply given again.
    pub(super) async fn open_stream(
        &self,
        turn: &mut TurnRecord,
        shared: bool,
        again: bool,
    ) -> Result<TurnStream, Failure> {
        let destination = self.destination(&turn.key).await?;
        if again
            && matches!(turn.state(), TurnState::Streaming { run: None })
            && !turn.is_external
            && let Some(run) = self.find_run(&destination, turn).await?
        {
            turn.advance(|state| state.start_run(run))
                .map_err(JournalError::from)?;
        }
        let backend = &self.ctx.backend;
        if let Some(run) = turn.state().run() {
            return Ok(backend.resume(&destination, run).await?);
        }
        if let TurnState::Resuming {
            decided, delivery, ..
        } = turn.state()
            && !matches!(delivery, Delivery::Forgotten { .. })
        {
            if decided.external_run().is_some() {
                return Err(Failure::Missed);
            }
            let (decided, delivery) = (decided.clone(), *delivery);
            return self
                .send_decision(turn, &destination, &decided, delivery)
                .await;
        }
        if turn.is_external {
            let stream = self.external_turns.take_stream(&turn.id);
            return stream.ok_or(Failure::Missed);
        }
        budget::check_send(&turn.spent).map_err(Failure::Exhausted)?;
        let has_files = turn.prompts.iter().any(|one| one.attachment.is_some());
        let _permit = if has_files {
            self.attachments.permit().await
        } else {
            None
        };
        let prompts = self.model_input(turn, shared).await?;
        let stream = backend
            .send(&destination, &prompts, self.tool_policy(&turn.key)?)
            .await?;
        self.attachments.forget_files(&turn.id);
        // What is lost of this by a crash is counted as a restart.
        turn.spent.sends += 1;
        turn.spent.runs += 1;
        self.ctx.journal.update_turn(turn)?;
        Ok(stream)
    }

    /// Tells Letta what was decided. That it may have heard it is written down before.
    async fn send_decision(
        &self,
        turn: &mut TurnRecord,
        destination: &Destination,
        decided: &DecidedApproval,
        delivery: Delivery,
    ) -> Result<TurnStream, Failure> {
        let backend = &self.ctx.backend;
        turn.spent.runs += 1;
        if delivery == Delivery::Undelivered {
            turn.advance(TurnState::send_decision)
                .map_err(JournalError::from)?;
            self.persist(turn).await?;
        }
        let request = decided.approval.request();
        let stream = backend
            .decide(destination, &request, &decided.decisions())
            .await;
        let unheard = matches!(
            stream,
            Err(BackendError::Forgotten { sent: false } | BackendError::NotPending)
        ) || matches!(&stream, Err(failure) if failure.kind() == FailureKind::ConversationGone);
        if unheard && delivery == Delivery::Undelivered {
            turn.advance(TurnState::decision_not_received)
                .map_err(JournalError::from)?;
            self.persist(turn).await?;
        }
        if stream.is_ok() && decided.is_stopped() {
            backend.cancel(destination).await?;
        }
        Ok(stream?)
    }

    /// What agents may do in a room without asking.
    pub(super) fn tool_policy(&self, key: &ConversationKey) -> Result<ToolPolicy, JournalError> {
        let choices = self.ctx.journal.room_settings(&key.room)?;
        Ok(ToolPolicy {
            mode: choices.mode.unwrap_or(self.ctx.mode).into(),
            chat_only: choices.chat_only,
        })
    }

    /// The run that answers these prompts already, if the history knows them.
    async fn find_run(
        &self,
        destination: &Destination,
        turn: &TurnRecord,
    ) -> Result<Option<RunId>, Failure> {
        let Some(key) = turn.prompts.first().map(|first| turn.key_of(first)) else {
            return Ok(None);
        };
        let history = self
            .ctx
            .backend
            .history(destination, HISTORY_MESSAGES_MAX)
            .await?;
        Ok(history
            .into_iter()
            .find(|item| item.key.as_deref() == Some(key.as_str()))
            .and_then(|item| item.run))
    }

    /// Letta's conversation for a place, made if there is none: an agent's own room is its default
    /// conversation where Letta lets many use theirs at once; a thread, and any other room, is one of
    /// its own.
    pub(super) async fn destination(&self, key: &ConversationKey) -> Result<Destination, Failure> {
        if let Some(destination) = self.known_destination(key)? {
            return Ok(destination);
        }
        let label = match &key.thread {
            Some(_) => format!("Matrix thread in {}", key.room),
            None => format!("Matrix room {}", key.room),
        };
        let conversation = self
            .ctx
            .backend
            .create_conversation(&key.agent, &label)
            .await?;
        self.ctx.journal.set_conversation(key, &conversation)?;
        self.ctx.journal.durable().await?;
        let destination = Destination {
            agent: key.agent.clone(),
            conversation,
        };
        self.watch(key, &destination).await?;
        Ok(destination)
    }

    /// Letta's conversation for a place, if it is known without asking.
    pub(super) fn known_destination(
        &self,
        key: &ConversationKey,
    ) -> Result<Option<Destination>, JournalError> {
        let mut conversation = self.ctx.journal.conversation(key)?;
        if conversation.is_none() && self.is_home(key)? {
            conversation = self.ctx.backend.home_conversation();
        }
        Ok(conversation.map(|conversation| Destination {
            agent: key.agent.clone(),
            conversation,
        }))
    }

    /// Whether a place is the main timeline of an agent's own room.
    pub(super) fn is_home(&self, key: &ConversationKey) -> Result<bool, JournalError> {
        let room = self.ctx.journal.room(&key.room)?;
        Ok(key.thread.is_none()
            && room.is_some_and(
                |room| matches!(room.kind, RoomKind::Home { agent } if agent == key.agent),
            ))
    }
}
