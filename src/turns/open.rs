//! Getting Letta to answer: which conversation, which prompts, and whether it was asked before.

use letta_client::{Conduct, Conversation, Destination, Prompt, RunId, TurnStream};

use super::{Inner, prompt::for_letta};
use crate::{
    journal::{ConversationKey, JournalError, RoomKind, TurnRecord},
    turns::listen::Failure,
};

/// How far back to look for a prompt that may have arrived before, in stored messages.
const HISTORY_MESSAGES_MAX: usize = 50;

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
        if again && turn.run.is_none() && turn.decided().is_none() {
            turn.run = self.find_run(&destination, turn).await?;
        }
        let backend = &self.around.backend;
        if let Some(run) = &turn.run {
            return Ok(backend.resume(&destination, run).await?);
        }
        if let Some((ask, verdict)) = turn.decided() {
            let (request, decisions) = (ask.request(), ask.decisions(verdict));
            let stream = backend.decide(&destination, &request, &decisions).await?;
            if ask.is_stopped() {
                backend.cancel(&destination).await?;
            }
            return Ok(stream);
        }
        let prompts: Vec<Prompt> = turn
            .prompts
            .iter()
            .map(|prompt| for_letta(prompt, turn.key_of(prompt), shared))
            .collect();
        Ok(backend
            .send(&destination, &prompts, Conduct::default())
            .await?)
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
    /// conversation; a thread, and any other room, is one of its own.
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
        Ok(Destination {
            agent: key.agent.clone(),
            conversation,
        })
    }

    /// Letta's conversation for a place, if it is known without asking.
    pub(super) fn known_destination(
        &self,
        key: &ConversationKey,
    ) -> Result<Option<Destination>, JournalError> {
        let agent = key.agent.clone();
        if key.thread.is_none() {
            let room = self.around.journal.room(&key.room)?;
            let at_home = room.is_some_and(
                |room| matches!(room.kind, RoomKind::Home { agent: at_home } if at_home == agent),
            );
            if at_home {
                return Ok(Some(Destination {
                    agent,
                    conversation: Conversation::Default,
                }));
            }
        }
        let conversation = self.around.journal.conversation(key)?;
        Ok(conversation.map(|conversation| Destination {
            agent,
            conversation,
        }))
    }
}
