//! Getting Letta to answer: which conversation, which prompts, and whether it was asked before.

use letta_client::{BackendError, Conduct, Destination, FailureKind, Prompt, RunId, TurnStream};

use super::{Inner, budget, prompt::for_letta};
use crate::{
    journal::{Ask, By, ConversationKey, JournalError, RoomKind, TurnRecord, Verdict},
    turns::listen::Failure,
};

/// How far back to look for a prompt that may have arrived before, in stored messages.
pub(super) const HISTORY_MESSAGES_MAX: usize = 50;

impl Inner {
    /// A stream of the turn's chapter: of its run if there is one, else of a new one.
    ///
    /// `again`: the prompts may have been sent before. Servers that know them by their keys give
    /// the same run; with others the conversation's history tells. A decision is simply given again.
    pub(super) async fn open(
        &self,
        turn: &mut TurnRecord,
        shared: bool,
        again: bool,
    ) -> Result<TurnStream, Failure> {
        let destination = self.destination(&turn.key).await?;
        if again && turn.run.is_none() && turn.decided().is_none() && !turn.elsewhere {
            turn.run = self.find_run(&destination, turn).await?;
        }
        let backend = &self.around.backend;
        if let Some(run) = &turn.run {
            return Ok(backend.resume(&destination, run).await?);
        }
        if let Some((ask, verdict)) = turn.decided()
            && !ask.forgotten
        {
            if matches!(verdict.by, By::Elsewhere(_)) {
                return Err(Failure::Missed);
            }
            let (ask, verdict) = (ask.clone(), verdict.clone());
            return self.tell(turn, &destination, &ask, &verdict).await;
        }
        if turn.elsewhere {
            let stream = self.elsewhere.take_stream(&turn.id);
            return stream.ok_or(Failure::Missed);
        }
        budget::check_send(&turn.spent).map_err(Failure::Exhausted)?;
        turn.sent_in.get_or_insert(turn.chapter);
        let prompts: Vec<Prompt> = turn
            .prompts
            .iter()
            .map(|prompt| for_letta(prompt, turn.key_of(prompt), shared))
            .collect();
        let stream = backend
            .send(&destination, &prompts, self.conduct_in(&turn.key)?)
            .await?;
        // What is lost of this by a crash is counted as a restart.
        turn.spent.sends += 1;
        turn.spent.runs += 1;
        self.around.journal.update_turn(turn)?;
        Ok(stream)
    }

    /// Tells Letta what was decided. That it may have heard it is written down before.
    async fn tell(
        &self,
        turn: &mut TurnRecord,
        destination: &Destination,
        ask: &Ask,
        verdict: &Verdict,
    ) -> Result<TurnStream, Failure> {
        let backend = &self.around.backend;
        turn.spent.runs += 1;
        self.note_untold(turn, false).await?;
        let decided = backend
            .decide(destination, &ask.request(), &ask.decisions(verdict))
            .await;
        let unheard = matches!(
            decided,
            Err(BackendError::Forgotten { sent: false } | BackendError::NotPending)
        ) || matches!(&decided, Err(failure) if failure.kind() == FailureKind::ConversationGone);
        if unheard && ask.untold {
            self.note_untold(turn, true).await?;
        }
        if decided.is_ok() && ask.is_stopped() {
            backend.cancel(destination).await?;
        }
        Ok(decided?)
    }

    async fn note_untold(&self, turn: &mut TurnRecord, untold: bool) -> Result<(), JournalError> {
        match turn.ask.as_mut().filter(|ask| ask.untold != untold) {
            Some(ask) => ask.untold = untold,
            None => return Ok(()),
        }
        self.keep(turn).await
    }

    /// What agents may do in a room without asking.
    pub(super) fn conduct_in(&self, key: &ConversationKey) -> Result<Conduct, JournalError> {
        let choices = self.around.journal.choices(&key.room)?;
        Ok(Conduct {
            mode: choices.mode.unwrap_or(self.around.mode).into(),
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
            .around
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
            .around
            .backend
            .create_conversation(&key.agent, &label)
            .await?;
        self.around.journal.set_conversation(key, &conversation)?;
        self.around.journal.durable().await?;
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
        let mut conversation = self.around.journal.conversation(key)?;
        if conversation.is_none() && self.is_home(key)? {
            conversation = self.around.backend.home_conversation();
        }
        Ok(conversation.map(|conversation| Destination {
            agent: key.agent.clone(),
            conversation,
        }))
    }

    /// Whether a place is the main timeline of an agent's own room.
    pub(super) fn is_home(&self, key: &ConversationKey) -> Result<bool, JournalError> {
        let room = self.around.journal.room(&key.room)?;
        Ok(key.thread.is_none()
            && room.is_some_and(
                |room| matches!(room.kind, RoomKind::Home { agent } if agent == key.agent),
            ))
    }
}
