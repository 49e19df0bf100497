//! What people have chosen: how agents behave in a room, and which tools an agent may use unasked.

use std::collections::BTreeMap;

use letta_client::AgentId;
use ruma::{OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};

use super::{
    Journal, JournalError,
    key::{self, Key},
};
use crate::{
    config::{Detail, ToolPermissionMode},
    time::Millis,
};

/// What was chosen for one room; what was not is as the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomSettings {
    /// How much it sees of tools and reasoning.
    pub detail: Option<Detail>,
    /// When agents have to ask here.
    pub mode: Option<ToolPermissionMode>,
    /// Whether agents may only talk here.
    pub chat_only: bool,
}

/// The tools that one agent may use unasked, by name.
pub type AllowedTools = BTreeMap<String, Allowance>;

/// Who has allowed a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// An admin.
    pub by: OwnedUserId,
    /// When.
    pub at: Millis,
}

impl Journal {
    /// What was chosen for a room.
    pub fn room_settings(&self, room: &RoomId) -> Result<RoomSettings, JournalError> {
        Ok(self
            .get(&room_settings_key(room), "choices")?
            .unwrap_or_default())
    }

    /// Changes what was chosen for a room.
    pub fn change_room_settings(
        &self,
        room: &RoomId,
        change: impl FnOnce(&mut RoomSettings),
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut choices = self.room_settings(room)?;
        change(&mut choices);
        self.put(&room_settings_key(room), &choices, "choices")
    }

    /// The tools that an agent may use unasked.
    pub fn allowed_tools(&self, agent: &AgentId) -> Result<AllowedTools, JournalError> {
        Ok(self
            .get(&allowed_key(agent), "allowed tools")?
            .unwrap_or_default())
    }

    /// Changes which tools an agent may use unasked.
    pub fn allow_tools(
        &self,
        agent: &AgentId,
        change: impl FnOnce(&mut AllowedTools),
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut allowed = self.allowed_tools(agent)?;
        change(&mut allowed);
        self.put(&allowed_key(agent), &allowed, "allowed tools")
    }
}

pub(super) fn room_settings_key(room: &RoomId) -> Vec<u8> {
    Key::new(key::CHOICES).text(room.as_str()).bytes()
}

fn allowed_key(agent: &AgentId) -> Vec<u8> {
    Key::new(key::ALLOWED).text(agent.as_str()).bytes()
}
