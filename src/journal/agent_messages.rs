//! Which messages agents have sent, so that replies and reactions to them find their agent.
//!
//! It stands beside the event id, behind the time of its admission, and is forgotten with it.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};

use super::{
    Journal, JournalError, encode,
    key::{self, Key},
};

/// The bytes of the time of admission, which comes first.
const TIME_BYTES: usize = 8;

/// A message of an agent that the homeserver has sent us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentMessage {
    /// Its room.
    pub room: OwnedRoomId,
    /// The ghost that sent it.
    pub sender: OwnedUserId,
    /// The thread that it stands in.
    #[serde(default)]
    pub thread: Option<OwnedEventId>,
}

impl Journal {
    /// Remembers that an agent sent an admitted event, for as long as the event id is remembered.
    pub fn remember_agent_message(
        &self,
        event_id: &EventId,
        message: &AgentMessage,
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let key = event_key(event_id);
        let Some(known) = self.db().get(&key)? else {
            return Ok(());
        };
        let at = &known[..known.len().min(TIME_BYTES)];
        let value = [at, &encode(message, "agent message")?].concat();
        self.db().insert(key, value)?;
        Ok(())
    }

    /// The message that an agent sent to this room with this event, as long as that is remembered.
    pub fn agent_message(
        &self,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<AgentMessage>, JournalError> {
        let known = self.db().get(event_key(event_id))?;
        let stored = known.as_ref().and_then(|known| known.get(TIME_BYTES..));
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
            return Ok(None);
        };
        let message: AgentMessage = super::decode(stored, "agent message")?;
        Ok(Some(message).filter(|message| message.room == room))
    }
}

fn event_key(event_id: &EventId) -> Vec<u8> {
    Key::new(key::EVENT_ID).text(event_id.as_str()).bytes()
}
