//! Messages in a room that was replaced.
//!
//! Room and settings go on in the new room, and so does the conversation of the main timeline. A thread cannot: its first message stays
//! behind. Its conversation stays what it was, for Letta's own app and for whoever goes back to it; who writes in it is told once where
//! the agent is now.

use letta_client::AgentId;
use ruma::OwnedEventId;

use super::Inbox;
use crate::{
    journal::{JournalError, OutboxItem, SendId},
    matrix::{
        content::{self, MsgKind, Placement},
        render::Rendered,
    },
    turns::{
        messages::{EVENT_TYPE, to_raw_json},
        notice_texts,
        route::{IncomingEvent, thread_of},
    },
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
        let (Some(successor), Some(root)) = (room.successor(), thread_of(event)) else {
            return Ok(());
        };
        let Some(agent) = self.agent_in(event, &root)? else {
            return Ok(());
        };
        let identity = &self.rules.identity;
        let ghost = identity.ghost(&agent);
        // After an upgrade nobody but the room's makers may write there.
        let sender = if room.bot { identity.bot() } else { &ghost };
        let send_id = SendId::of(&["thread left", event.room_id.as_str(), root.as_str()]);
        let content = content::message(
            Rendered::plain(notice_texts::thread_left(&ghost, successor.as_str())),
            MsgKind::Notice,
            Placement::Thread {
                root,
                reply_to: Some(event.event_id.clone()),
            },
            [],
            send_id.as_str(),
        );
        let item = OutboxItem {
            room: event.room_id.clone(),
            sender: sender.to_owned(),
            event_type: EVENT_TYPE.to_owned(),
            send_id,
            content: to_raw_json(&content),
        };
        self.ctx.outbox.enqueue(&item).await
    }

    /// The agent that has a conversation in a thread.
    fn agent_in(
        &self,
        event: &IncomingEvent,
        root: &OwnedEventId,
    ) -> Result<Option<AgentId>, JournalError> {
        let mut known = self.ctx.journal.conversations()?.into_iter();
        let here =
            known.find(|place| place.room == event.room_id && place.thread.as_ref() == Some(root));
        Ok(here.map(|place| place.agent))
    }
}
