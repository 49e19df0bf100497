//! Rooms whose messages are encrypted: whoever of us comes into one says at once that it can read nothing there, and where it can.

use letta_client::AgentId;
use ruma::UserId;
use tracing::info;

use super::{handler::CommandHandler, help::code};
use crate::{
    journal::{NoticeText, SendId},
    matrix::{Actor, content::Placement},
    room_jobs::RoomJobError,
    turns::route::IncomingEvent,
};

/// The code of the notice.
const CODE: &str = "ENCRYPTED";

impl CommandHandler {
    /// Says that the room is encrypted, if it is, in the name of an agent or of the bot that has just joined it. Answers whether it is.
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
        let text = NoticeText::new(self.where_to_talk(agent), CODE);
        // The room is told once, whether somebody comes or somebody writes.
        let once = SendId::of(&["encrypted", room.as_str()]);
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
             [{home}](https://matrix.to/#/{home}). For another room without encryption, write {} there.",
            code(&format!("!letta start-chat {agent}"))
        )
    }
}
