//! Rooms whose messages are encrypted: whoever of us comes into one says at once that it can read nothing there, and where it can.

use letta_client::AgentId;
use ruma::{EventId, RoomId, UserId};
use tracing::info;

use super::handler::CommandHandler;
use crate::{
    config::Level,
    encryption::Support,
    journal::{NoticeText, RoomRecord, SendId},
    matrix::{Actor, content::Placement},
    room_jobs::RoomJobError,
    turns::route::IncomingEvent,
};

/// The code of the notice.
const CODE: &str = "ENCRYPTED";

impl CommandHandler {
    /// Says that the room is encrypted, if it is and cannot be read, in the name of an agent or of the bot that has just joined it. Answers
    /// whether that was said.
    pub(super) async fn tell_if_encrypted(
        &self,
        event: &IncomingEvent,
        agent: Option<&AgentId>,
    ) -> Result<bool, RoomJobError> {
        let identity = &self.ctx.rules.identity;
        let ghost = agent.map(|agent| identity.ghost(agent));
        let actor = ghost.as_deref().map_or(Actor::Bot, Actor::Ghost);
        let room = &event.room_id;
        let is_encrypted = match self.ctx.homeserver.is_encrypted(actor, room).await {
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                info!(room.id = %room, %error, "could not tell whether the room is encrypted");
                false
            }
            Ok(is_encrypted) => is_encrypted,
        };
        if !is_encrypted {
            return Ok(false);
        }
        let sender: &UserId = ghost.as_deref().unwrap_or(identity.bot());
        if self.ctx.encryption.support() != Support::Unsupported {
            self.ctx.encryption.ensure_device(sender).await?;
            return Ok(false);
        }
        let text = NoticeText::new(self.where_to_talk(agent), CODE);
        let once = notice_id(room);
        let placement = Placement::Room { reply_to: None };
        self.enqueue(event, sender, &placement, &text, &once)
            .await?;
        Ok(true)
    }

    fn where_to_talk(&self, agent: Option<&AgentId>) -> String {
        let identity = &self.ctx.rules.identity;
        let Some(agent) = agent else {
            let space = identity.space_alias();
            return format!(
                "This room is encrypted, and I cannot read encrypted messages yet, commands included. The \
                 agents' own rooms are not encrypted: commands that begin with `!letta` work there. They \
                 are in [{space}](https://matrix.to/#/{space})."
            );
        };
        let home = identity.alias(agent);
        format!(
            "This room is encrypted, and I cannot read encrypted messages yet. My own room is not encrypted: \
             [{home}](https://matrix.to/#/{home}). React with ✅ to this message, and I invite you to another room without \
             encryption."
        )
    }

    /// Makes a room without encryption for whoever has reacted to the notice that this one is encrypted, once for each of them. Answers
    /// whether it was this notice.
    pub(super) async fn leave_encryption(
        &self,
        event: &IncomingEvent,
        on: &EventId,
    ) -> Result<bool, RoomJobError> {
        let journal = &self.ctx.journal;
        let room = &event.room_id;
        let notice = journal.event_of(&notice_id(room))?.flatten();
        if notice.is_none_or(|notice| notice != on) {
            return Ok(false);
        }
        let known = journal.room(room)?;
        let Some(agent) = known.as_ref().and_then(RoomRecord::only_agent) else {
            return Ok(true);
        };
        let once = SendId::of(&["plain room", room.as_str(), event.sender.as_str()]);
        let is_done = journal.event_of(&once)?.is_some() || journal.is_waiting(room, &once)?;
        if is_done || self.requester(event).level < Level::User {
            return Ok(true);
        }
        let text = self.start_chat(agent.as_str(), event).await?;
        let ghost = self.ctx.rules.identity.ghost(agent);
        let reply_to = Some(on.to_owned());
        let placement = Placement::Room { reply_to };
        let text = NoticeText::new(text, CODE);
        self.enqueue(event, &ghost, &placement, &text, &once)
            .await?;
        Ok(true)
    }
}

/// The room is told once, whether somebody comes or somebody writes.
fn notice_id(room: &RoomId) -> SendId {
    SendId::of(&["encrypted", room.as_str()])
}
