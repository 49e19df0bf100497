//! How rooms are encrypted, and who reads them: asked once, remembered until a room changes.

use std::sync::Arc;

use ruma::{
    OwnedUserId, RoomId,
    events::{
        StateEventType,
        room::{encryption::RoomEncryptionEventContent, history_visibility::HistoryVisibility},
    },
};
use serde_json::Value;

use crate::{
    matrix::{Actor, Homeserver, MatrixError},
    room_cache::RoomCache,
};

/// An encrypted room.
#[derive(Debug)]
pub(super) struct EncryptedRoom {
    pub(super) encryption: RoomEncryptionEventContent,
    pub(super) history: HistoryVisibility,
    /// Everybody who is to read what is said.
    pub(super) users: Vec<OwnedUserId>,
}

/// See the module's documentation. A room that is known and not encrypted is `None`.
pub(super) struct EncryptedRooms {
    homeserver: Homeserver,
    rooms: RoomCache<Option<Arc<EncryptedRoom>>>,
}

impl EncryptedRooms {
    pub(super) fn new(homeserver: Homeserver) -> Self {
        Self {
            homeserver,
            rooms: RoomCache::default(),
        }
    }

    pub(super) fn changed(&self, room: &RoomId) {
        self.rooms.changed(room);
    }

    /// What is known of an encrypted room; `None`: it is not encrypted.
    pub(super) async fn find(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Option<Arc<EncryptedRoom>>, MatrixError> {
        let ticket = match self.rooms.look(room, |known| Some(known.clone())) {
            Ok(known) => return Ok(known),
            Err(ticket) => ticket,
        };
        let found = self.ask(actor, room).await?.map(Arc::new);
        self.rooms
            .remember(ticket, room, |known| known.clone_from(&found));
        Ok(found)
    }

    async fn ask(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Option<EncryptedRoom>, MatrixError> {
        let state = async |kind| self.homeserver.state_content(actor, room, kind, "").await;
        let content = state(StateEventType::RoomEncryption).await?;
        let Some(content) = content.filter(|content| content.get("algorithm").is_some()) else {
            return Ok(None);
        };
        // A room whose settings cannot be read is encrypted all the same.
        let encryption = serde_json::from_value(content)
            .unwrap_or_else(|_| RoomEncryptionEventContent::with_recommended_defaults());
        let history = state(StateEventType::RoomHistoryVisibility).await?;
        let history = history
            .as_ref()
            .and_then(|content| content.get("history_visibility"));
        let history = history
            .and_then(Value::as_str)
            .map_or(HistoryVisibility::Shared, Into::into);
        let with_invited = history != HistoryVisibility::Joined;
        Ok(Some(EncryptedRoom {
            encryption,
            users: self.homeserver.members(actor, room, with_invited).await?,
            history,
        }))
    }
}
