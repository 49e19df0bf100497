//! Messages in a room that was replaced.
//!
//! Room and settings go on in the new room, and so does the conversation of the main timeline. A thread cannot: its first message stays
//! behind. Its conversation stays what it was, for Letta's own app and for whoever goes back to it; who writes in it is told once where
//! the agent is now.

use letta_client::AgentId;
use ruma::{OwnedEventId, RoomId};

use super::Inbox;
use crate::{
    journal::{ConversationKey, JournalError, RoomKind, SendId},
    matrix::content::Placement,
    outbox::notice,
    turns::{notice_texts, route::IncomingEvent},
};

impl Inbox {
    /// Tells a thread in which an agent had a conversation, once, in which room the agent is now.
    pub(super) async fn tell_of_successor(
        &self,
        event: &IncomingEvent,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let Some(room) = journal.room(&event.room_id)? else {
            return Ok(());
        };
        let (Some(successor), Some(root)) = (room.successor(), event.thread().cloned()) else {
            return Ok(());
        };
        let Some(agent) = self.agent_in(event, &root, successor)? else {
            return Ok(());
        };
        let identity = &self.rules.identity;
        let ghost = identity.ghost(&agent);
        // After an upgrade nobody but the room's makers may write there.
        let sender = if room.bot { identity.bot() } else { &ghost };
        let send_id = SendId::of(&["thread left", event.room_id.as_str(), root.as_str()]);
        let text = notice_texts::thread_in_upgraded_room(&ghost, successor.as_str());
        let placement = Placement::Thread {
            root,
            reply_to: Some(event.event_id.clone()),
        };
        let item = notice(&event.room_id, sender, placement, &text, send_id);
        self.ctx.outbox.enqueue(&item).await
    }

    /// The agent of the new room that has a conversation in a thread of the old one.
    fn agent_in(
        &self,
        event: &IncomingEvent,
        root: &OwnedEventId,
        successor: &RoomId,
    ) -> Result<Option<AgentId>, JournalError> {
        let journal = &self.ctx.journal;
        let Some(record) = journal.room(successor)? else {
            return Ok(None);
        };
        let home = match &record.kind {
            RoomKind::Home { agent } => Some(agent),
            _ => None,
        };
        for agent in home.into_iter().chain(record.guests.keys()) {
            let conversation = ConversationKey {
                agent: agent.clone(),
                room: event.room_id.clone(),
                thread: Some(root.clone()),
            };
            if journal.conversation(&conversation)?.is_some() {
                return Ok(Some(agent.clone()));
            }
        }
        Ok(None)
    }
}
