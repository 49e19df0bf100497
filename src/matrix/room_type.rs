//! What kind of room it is, as its creation says.
//!
//! Specification: [room types](https://spec.matrix.org/latest/client-server-api/#types).

use ruma::{RoomId, events::StateEventType, room::RoomType};

use super::client::{Actor, Homeserver, MatrixError};

impl Homeserver {
    /// Whether a room is a space, where nobody reads what is said.
    pub async fn is_space(&self, actor: Actor<'_>, room: &RoomId) -> Result<bool, MatrixError> {
        let create = self
            .state_content(actor, room, StateEventType::RoomCreate, "")
            .await?;
        Ok(create.is_some_and(|content| content["type"] == RoomType::Space.as_str()))
    }
}
