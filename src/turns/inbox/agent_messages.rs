//! What the homeserver sends us of our agents' own messages: whose they are, so that a reply to one addresses its agent.

use letta_client::AgentId;

use super::Inbox;
use crate::{
    journal::{AgentMessage, JournalError},
    matrix::RoutedKind,
    turns::{
        latest_messages::place_of_message,
        prompt,
        route::{EventContent, IncomingEvent},
    },
};

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

    /// The agent whose message an event replies to, if it replies to one.
    pub(super) fn replied_agent(
        &self,
        event: &IncomingEvent,
    ) -> Result<Option<AgentId>, JournalError> {
        let kind = RoutedKind::of(&event.event_type, event.state_key.as_deref());
        let EventContent::Message(content) = &event.content else {
            return Ok(None);
        };
        let replied = prompt::replied_to(content).filter(|_| kind.is_some());
        let Some(replied) = replied else {
            return Ok(None);
        };
        let message = self.ctx.journal.agent_message(&event.room_id, &replied)?;
        Ok(message.and_then(|message| self.rules.identity.agent_of(&message.sender)))
    }
}
