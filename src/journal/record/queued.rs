//! What waits in a room's queues: messages to be sent, and things to be done.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::SendId;
use crate::time::Millis;

/// A message that will be said, exactly so, until the homeserver has answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutboxItem {
    /// The room.
    pub room: OwnedRoomId,
    /// Who says it: a ghost, or the bot.
    pub sender: OwnedUserId,
    /// The event's type.
    pub event_type: String,
    /// Its send id.
    pub send_id: SendId,
    /// Its content, frozen.
    pub content: Box<RawValue>,
}

/// Something to do in a room, in order, that may need the network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomJob {
    /// The event that asks for it.
    pub event: Box<RawValue>,
    /// When it was admitted.
    pub admitted_at: Millis,
}
