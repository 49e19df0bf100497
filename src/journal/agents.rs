//! Agents, rooms and the space, as the bridge has set them up.

use std::collections::BTreeMap;

use letta_client::AgentId;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};

use super::{
    Journal, JournalError,
    key::{self, Key, SPACE, texts},
    record::{AgentRecord, RoomKind, RoomRecord, SpaceRecord},
};

impl Journal {
    /// Every agent the bridge has ever set up, retired ones included.
    pub fn agents(&self) -> Result<BTreeMap<AgentId, AgentRecord>, JournalError> {
        self.scan::<AgentRecord>(&[key::AGENT], "agent")
            .map(|entry| entry.map(|(_, agent)| (agent.id.clone(), agent)))
            .collect()
    }

    /// One agent.
    pub fn agent(&self, id: &AgentId) -> Result<Option<AgentRecord>, JournalError> {
        self.get(&agent_key(id), "agent")
    }

    /// Writes down an agent and, if it has one, whose home its room is.
    pub fn set_agent(&self, agent: &AgentRecord) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        batch.insert(agent_key(&agent.id), super::encode(agent, "agent")?);
        if let Some(room) = &agent.room {
            let known = self.room(room)?;
            let kind = RoomKind::Home {
                agent: agent.id.clone(),
            };
            if known.as_ref().is_none_or(|known| known.kind != kind) {
                let record = match known {
                    Some(known) => RoomRecord { kind, ..known },
                    None => RoomRecord {
                        bot: true,
                        ..RoomRecord::new(kind)
                    },
                };
                batch.insert(room_key(room), super::encode(&record, "room")?);
            }
        }
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// What a room is to us. `None`: nothing yet.
    pub fn room(&self, room: &RoomId) -> Result<Option<RoomRecord>, JournalError> {
        self.get(&room_key(room), "room")
    }

    /// Every room that is something to us.
    pub fn rooms(&self) -> Result<Vec<(OwnedRoomId, RoomRecord)>, JournalError> {
        let mut rooms = Vec::new();
        for entry in self.scan::<RoomRecord>(&[key::ROOM], "room") {
            let (key, record) = entry?;
            let id = texts(&key).next().and_then(|id| RoomId::parse(id).ok());
            rooms.extend(id.map(|id| (id, record)));
        }
        Ok(rooms)
    }

    /// Writes down what a room is to us.
    pub fn set_room(&self, room: &RoomId, record: &RoomRecord) -> Result<(), JournalError> {
        self.put(&room_key(room), record, "room")
    }

    /// The management rooms, by person.
    pub fn management_rooms(&self) -> Result<BTreeMap<OwnedUserId, OwnedRoomId>, JournalError> {
        let mut rooms = BTreeMap::new();
        for (id, record) in self.rooms()? {
            if let RoomKind::Management { user } = record.kind {
                rooms.insert(user, id);
            }
        }
        Ok(rooms)
    }

    /// The space, if it is set up.
    pub fn space(&self) -> Result<Option<SpaceRecord>, JournalError> {
        self.get(SPACE, "space")
    }

    /// Writes down the space.
    pub fn set_space(&self, space: &SpaceRecord) -> Result<(), JournalError> {
        self.put(SPACE, space, "space")
    }
}

fn agent_key(id: &AgentId) -> Vec<u8> {
    Key::new(key::AGENT).text(id.as_str()).bytes()
}

pub(super) fn room_key(room: &RoomId) -> Vec<u8> {
    Key::new(key::ROOM).text(room.as_str()).bytes()
}
