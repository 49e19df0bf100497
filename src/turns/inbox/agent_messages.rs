//! What the homeserver sends us of our agents' own messages: whose they are, so that a reply to one addresses its agent, and a reaction
//! reaches it.

use letta_client::AgentId;
use ruma::EventId;

use super::Inbox;
use crate::{
    config::Reactions,
    journal::{AgentMessage, ConversationKey, JournalError, ReactionRecord},
    matrix::RoutedKind,
    turns::{
        latest_messages::place_of_message,
        prompt,
        route::{EventContent, IncomingEvent},
    },
};

/// How much of a reaction is kept, in characters: some clients react with words.
const REACTION_CHARS_MAX: usize = 100;

impl Inbox {
    /// Remembers an agent's message. Edits are none of their own.
    pub(super) fn remember_agent_message(&self, event: &IncomingEvent) -> Result<(), JournalError> {
        let is_agent = self.rules.identity.agent_of(&event.sender).is_some();
        let Some((room, thread)) = place_of_message(event).filter(|_| is_agent) else {
            return Ok(());
        };
        let message = AgentMessage {
            room,
            sender: event.sender.clone(),
            thread,
        };
        self.ctx
            .journal
            .remember_agent_message(&event.event_id, &message)
    }

    /// Keeps a reaction to an agent's message for the agent's next turn.
    pub(super) fn keep_reaction(
        &self,
        event: &IncomingEvent,
        on: &EventId,
        key: &str,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let (Reactions::Next, Some(message)) = (
            self.ctx.config.reactions,
            journal.agent_message(&event.room_id, on)?,
        ) else {
            return Ok(());
        };
        let Some(agent) = self.rules.identity.agent_of(&message.sender) else {
            return Ok(());
        };
        let conversation = ConversationKey {
            agent,
            room: message.room,
            thread: message.thread,
        };
        let reaction = ReactionRecord {
            event_id: event.event_id.clone(),
            sender: event.sender.clone(),
            key: key.chars().take(REACTION_CHARS_MAX).collect(),
            on: on.to_owned(),
        };
        journal.keep_reaction(&conversation, &reaction)
    }

    /// The agent whose message an event replies to, if it replies to one.
    pub(super) fn replied_agent(
        &self,
        event: &IncomingEvent,
    ) -> Result<Option<AgentId>, JournalError> {
        let kind = RoutedKind::of(&event.event_type, event.state_key.as_deref());
        let EventContent::Message(content) = &event.content else {
            return Ok(None);
        };
        let replied = prompt::replied_to_id(content).filter(|_| kind.is_some());
        let Some(replied) = replied else {
            return Ok(None);
        };
        let message = self.ctx.journal.agent_message(&event.room_id, &replied)?;
        Ok(message.and_then(|message| self.rules.identity.agent_of(&message.sender)))
    }
}
