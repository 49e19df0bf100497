//! What agents do in rooms by their tools, each as its own ghost.

use super::{Actor, Homeserver, MatrixError};
use crate::journal::SendId;
use ruma::{
    EventId, OwnedRoomId, OwnedTransactionId, OwnedUserId, RoomId, RoomOrAliasId,
    api::client::{
        membership::{join_room_by_id_or_alias, joined_rooms},
        redact::redact_event,
        room::create_room,
    },
};

/// A room that an agent makes.
pub struct AgentRoom {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
}

impl Homeserver {
    /// Takes an event back. With the same `send_id` again it is the same redaction.
    pub async fn redact(
        &self,
        actor: Actor<'_>,
        (room, event): (&RoomId, &EventId),
        reason: Option<String>,
        send_id: &SendId,
    ) -> Result<(), MatrixError> {
        let transaction = OwnedTransactionId::from(send_id.as_str());
        let mut request =
            redact_event::v3::Request::new(room.to_owned(), event.to_owned(), transaction);
        request.reason = reason;
        self.call(actor, request).await?;
        Ok(())
    }

    /// The rooms that somebody is in.
    pub async fn joined_rooms(&self, actor: Actor<'_>) -> Result<Vec<OwnedRoomId>, MatrixError> {
        let request = joined_rooms::v3::Request::new();
        Ok(self.call(actor, request).await?.joined_rooms)
    }

    /// Makes a private room. Tried once: a second try would be a second room.
    pub async fn create_private_room(
        &self,
        actor: Actor<'_>,
        room: AgentRoom,
    ) -> Result<OwnedRoomId, MatrixError> {
        let mut request = create_room::v3::Request::new();
        request.name = Some(room.name);
        request.topic = room.topic;
        request.is_direct = room.invite.len() == 1;
        request.invite = room.invite;
        request.preset = Some(create_room::v3::RoomPreset::PrivateChat);
        Ok(self.call_once(actor, request).await?.room_id)
    }

    /// Joins a room by its id or alias.
    pub async fn join_any(
        &self,
        actor: Actor<'_>,
        room: &RoomOrAliasId,
    ) -> Result<OwnedRoomId, MatrixError> {
        let request = join_room_by_id_or_alias::v3::Request::new(room.to_owned());
        Ok(self.call(actor, request).await?.room_id)
    }
}
