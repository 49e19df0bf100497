//! A room that the bridge made is held against what it shall be: the table in docs/rooms.md, as far as it is repaired here.
//!
//! What is respected is so where it is set: names, topics, avatars and join rules are compared with what we gave before they are changed.

use std::collections::BTreeSet;

use letta_client::AgentId;
use ruma::{OwnedRoomId, RoomId};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{ProvisionError, Provisioner, cannot};
use crate::journal::AgentStatus;

impl Provisioner {
    /// The rooms that the bridge made for agents, and the space; of these only, if they are given.
    pub fn rooms_of_ours(&self, among: Option<&BTreeSet<OwnedRoomId>>) -> Vec<OwnedRoomId> {
        let mut rooms: Vec<_> = self.space_in_use().into_iter().collect();
        self.registry.with_all(|known| {
            let live = known
                .values()
                .filter(|record| record.status == AgentStatus::Live && record.joined);
            rooms.extend(live.filter_map(|record| record.room.clone()));
        });
        rooms.retain(|room| among.is_none_or(|among| among.contains(room)));
        rooms
    }

    /// Whether the bridge made a room for an agent, or as the space.
    pub fn is_room_of_ours(&self, room: &RoomId) -> bool {
        self.space_in_use().as_deref() == Some(room)
            || self.registry.with_all(|known| {
                let mut records = known.values();
                records.any(|record| record.room.as_deref() == Some(room))
            })
    }

    /// Repairs what is to be repaired of a room of ours. `true`: the rest is for discovery, at its next look.
    pub async fn reconcile_room(&self, room: &RoomId) -> Result<bool, ProvisionError> {
        self.reconcile_encryption(room).await?;
        if self.space_in_use().as_deref() == Some(room) {
            return self.reconcile_space(room).await;
        }
        let agent = self.registry.with_all(|known| {
            let mut records = known.values();
            let record = records.find(|record| record.room.as_deref() == Some(room));
            record.map(|record| record.id.clone())
        });
        if let Some(agent) = agent {
            self.reconcile_alias(&agent, room).await?;
        }
        Ok(false)
    }

    /// Nobody but the bot turns on encryption.
    async fn reconcile_encryption(&self, room: &RoomId) -> Result<(), ProvisionError> {
        let bot = self.config.identity.bot();
        let may_repair = || self.room_changes.may_repair(room, Instant::now());
        let repaired = self
            .homeserver
            .restrict_encryption_power(bot, room, may_repair)
            .await;
        if repaired.map_err(cannot("repair who may turn on encryption"))? {
            info!(room.id = %room, "nobody but the bot and those of its power turn on encryption in the room now");
        }
        Ok(())
    }

    /// The space lists every agent's room. `true`: one is to be listed again.
    async fn reconcile_space(&self, space: &RoomId) -> Result<bool, ProvisionError> {
        let listed = self.homeserver.space_children(space).await;
        let listed = listed.map_err(cannot("look which rooms the space lists"))?;
        let missing: Vec<AgentId> = self.registry.with_all(|known| {
            let missing = known.values().filter(|record| {
                let room = record.room.as_ref().filter(|_| record.in_space);
                room.is_some_and(|room| !listed.contains(room))
            });
            missing.map(|record| record.id.clone()).collect()
        });
        let mut is_any_due = false;
        for id in missing {
            let _guard = self.registry.lock_agent(&id).await;
            let Some(mut record) = self.registry.find(&id) else {
                continue;
            };
            let Some(room) = record.room.clone() else {
                continue;
            };
            if !self.room_changes.may_repair(&room, Instant::now()) {
                warn!(agent.id = %id, room.id = %room, "the room is taken off the space again and again and stays so for now");
                continue;
            }
            info!(agent.id = %id, room.id = %room, "the room was taken off the space and is listed again");
            record.in_space = false;
            self.registry.set(record)?;
            is_any_due = true;
        }
        Ok(is_any_due)
    }

    /// The agent's alias leads to its room. The agent is not locked: a homeserver asks us for an alias that it misses.
    async fn reconcile_alias(&self, agent: &AgentId, room: &RoomId) -> Result<(), ProvisionError> {
        let alias = self.config.identity.alias(agent);
        let found = self.homeserver.find_room(&alias).await;
        match found.map_err(cannot("look where its alias leads"))? {
            Some(found) if found == room => Ok(()),
            Some(found) => {
                warn!(agent.id = %agent, room.id = %room, found = %found, "the agent's alias leads to another room than its own");
                Ok(())
            }
            None => {
                if !self.room_changes.may_repair(room, Instant::now()) {
                    return Ok(());
                }
                let added = self.homeserver.add_alias(&alias, room).await;
                if added.map_err(cannot("give the room its alias"))? {
                    info!(agent.id = %agent, room.id = %room, "the room has its alias again");
                }
                Ok(())
            }
        }
    }
}
