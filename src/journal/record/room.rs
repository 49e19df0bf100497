//! Rooms and the space as the bridge knows them: what they are, who of us is there, and which room has replaced them.

use std::collections::{BTreeMap, BTreeSet};

use letta_client::AgentId;
use ruma::{OwnedMxcUri, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The "Letta Agents" space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceRecord {
    /// Its room id.
    pub room: OwnedRoomId,
    /// People who have been invited (or could not be, which is logged).
    #[serde(default)]
    pub invited: BTreeSet<OwnedUserId>,
    /// The room that has replaced it, if one has.
    #[serde(default)]
    pub replaced: Option<Replacement>,
    /// Whether it has an avatar, one of ours or one that a person gave it.
    #[serde(default)]
    pub has_avatar: bool,
}

/// The picture that the bridge made for an agent, and where it is shown. Each field says what has been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvatarRecord {
    /// Which picture it is.
    pub hash: String,
    /// Where it was uploaded to.
    pub uri: OwnedMxcUri,
    /// Whether the ghost has it, or one that somebody else gave it.
    #[serde(default)]
    pub on_ghost: bool,
    /// The room that has it, or one that somebody else gave it.
    #[serde(default)]
    pub on_room: Option<OwnedRoomId>,
    /// Where the picture was that this one replaces.
    #[serde(default)]
    pub replaces: Option<OwnedMxcUri>,
}

/// How far the greeting in an agent's new room is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// There is nothing to say: the room was there before, or it was said.
    #[default]
    None,
    /// The room was made by us, and nothing is said yet.
    Due,
    /// It may have been sent.
    Tried,
}

/// What a room is to the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// Its kind.
    pub kind: RoomKind,
    /// Ghosts that were invited here, beside the one whose home it is; `true`: as a direct chat,
    /// where every message is meant for it.
    #[serde(default)]
    pub guests: BTreeMap<AgentId, bool>,
    /// Whether the bot is here too.
    #[serde(default)]
    pub bot: bool,
    /// The room that has replaced this one, if one has.
    #[serde(default)]
    pub replaced: Option<Replacement>,
    /// The room that this one replaces, until whoever of us was there has come over.
    #[serde(default)]
    pub predecessor: Option<OwnedRoomId>,
}

impl RoomRecord {
    /// A room in which nobody of us is known to be.
    pub fn new(kind: RoomKind) -> Self {
        Self {
            kind,
            guests: BTreeMap::new(),
            bot: false,
            replaced: None,
            predecessor: None,
        }
    }

    /// The agent of this room, if it is that of one only.
    pub fn only_agent(&self) -> Option<&AgentId> {
        let mut guests = self.guests.keys();
        match (&self.kind, guests.next()) {
            (RoomKind::Home { agent }, None) => Some(agent),
            (RoomKind::Home { .. }, Some(_)) => None,
            (_, first) => first.filter(|_| guests.next().is_none()),
        }
    }

    /// The room to which everybody of us has gone on from this one.
    pub fn successor(&self) -> Option<&OwnedRoomId> {
        let replaced = self.replaced.as_ref().filter(|replaced| replaced.is_done)?;
        Some(&replaced.by)
    }
}

/// The room that has replaced another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The new room.
    pub by: OwnedRoomId,
    /// When the old room was replaced.
    pub since: Millis,
    /// Whether nothing is left to do about it.
    pub is_done: bool,
}

/// See [`RoomRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomKind {
    /// An agent's own room.
    Home {
        /// The agent.
        agent: AgentId,
    },
    /// Where one person commands the bot.
    Management {
        /// The person.
        user: OwnedUserId,
    },
    /// Any other room.
    Other,
}
