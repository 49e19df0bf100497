//! Rooms that are replaced by others: what belongs to the old room is given to the new one, in one commit.

use letta_client::AgentId;
use ruma::RoomId;

use super::{
    Journal, JournalError,
    agents::room_key,
    record::{ConversationKey, RoomRecord},
    room_settings::room_settings_key,
    turns::conversation_key,
};

impl Journal {
    /// A room is replaced: writes down both, and gives the new one the settings of the old one and the conversations that these agents
    /// have there.
    pub fn move_room(
        &self,
        agents: &[AgentId],
        (old, old_record): (&RoomId, &RoomRecord),
        (new, new_record): (&RoomId, &RoomRecord),
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut batch = self.moved(agents, old, new)?;
        batch.insert(room_key(old), super::encode(old_record, "room")?);
        batch.insert(room_key(new), super::encode(new_record, "room")?);
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// Gives a room the settings of another one and the conversation that an agent has there.
    pub fn move_home(
        &self,
        agent: &AgentId,
        old: &RoomId,
        new: &RoomId,
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let batch = self.moved(std::slice::from_ref(agent), old, new)?;
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// Threads stay behind, because their first messages do. What the new room has already stays as it is.
    fn moved(
        &self,
        agents: &[AgentId],
        old: &RoomId,
        new: &RoomId,
    ) -> Result<sled::Batch, JournalError> {
        let mut moves = vec![(room_settings_key(old), room_settings_key(new))];
        for agent in agents {
            let place = |room: &RoomId| ConversationKey {
                agent: agent.clone(),
                room: room.to_owned(),
                thread: None,
            };
            moves.push((conversation_key(&place(old)), conversation_key(&place(new))));
        }
        let mut batch = sled::Batch::default();
        for (from, to) in moves {
            let Some(value) = self.db().get(&from)? else {
                continue;
            };
            if !self.db().contains_key(&to)? {
                batch.insert(to, value);
            }
            batch.remove(from);
        }
        Ok(batch)
    }
}
