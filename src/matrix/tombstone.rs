//! Rooms that are replaced by others, and aliases that lead to them.
//!
//! Specification: [room upgrades](https://spec.matrix.org/v1.16/client-server-api/#room-upgrades). An upgrade invites nobody: who is to
//! follow joins by itself where the new room lets it, or is invited by a person.

use ruma::{
    OwnedRoomId, OwnedServerName, RoomAliasId, RoomId,
    api::client::{
        alias::delete_alias, membership::join_room_by_id_or_alias, state::get_state_event_for_key,
    },
    events::StateEventType,
};
use serde::Deserialize;

use super::client::{Actor, Homeserver, MatrixError};

/// The content of `m.room.tombstone`.
#[derive(Debug, Deserialize)]
pub struct Tombstone {
    /// The room that replaces the one with the tombstone.
    pub replacement_room: OwnedRoomId,
}

/// The room that a new room says that it replaces, in `m.room.create`.
#[derive(Debug, Deserialize)]
struct Create {
    predecessor: Option<Predecessor>,
}

#[derive(Debug, Deserialize)]
struct Predecessor {
    room_id: OwnedRoomId,
}

impl Homeserver {
    /// Joins a room by way of servers that may know it; fine if joined already.
    pub async fn join_via(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        via: Vec<OwnedServerName>,
    ) -> Result<(), MatrixError> {
        let mut request = join_room_by_id_or_alias::v3::Request::new(room.to_owned().into());
        request.via = via;
        self.call(actor, request).await?;
        Ok(())
    }

    /// The room that has replaced a room; `None`: none has.
    pub async fn replacement_of(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Option<OwnedRoomId>, MatrixError> {
        let content = self
            .state_content(actor, room, StateEventType::RoomTombstone, "")
            .await?;
        let tombstone =
            content.and_then(|content| serde_json::from_value::<Tombstone>(content).ok());
        Ok(tombstone.map(|tombstone| tombstone.replacement_room))
    }

    /// The room that a room says that it replaces; `None`: none.
    pub async fn predecessor_of(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Option<OwnedRoomId>, MatrixError> {
        let request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            StateEventType::RoomCreate,
            String::new(),
        );
        let found = self.call(actor, request).await?.into_content();
        let create = found.deserialize_as_unchecked::<Create>().ok();
        Ok(create
            .and_then(|create| create.predecessor)
            .map(|predecessor| predecessor.room_id))
    }

    /// Takes an alias of ours off the room that it leads to; fine if it leads to none.
    pub async fn remove_alias(&self, alias: &RoomAliasId) -> Result<(), MatrixError> {
        match self
            .call(Actor::Bot, delete_alias::v3::Request::new(alias.to_owned()))
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
