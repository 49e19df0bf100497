//! Which rooms can be made, and what they begin with.

use ruma::RoomVersionId;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::config::patterns::Patterns;

/// The versions that rooms are made with, from the oldest.
pub const ROOM_VERSIONS: [RoomVersionId; 3] =
    [RoomVersionId::V10, RoomVersionId::V11, RoomVersionId::V12];

/// Making rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Rooms {
    /// Whether rooms can be encrypted, and encrypted events be sent.
    pub allow_encryption: bool,
    /// Whether people who are neither admin nor appservice can make rooms.
    pub allow_room_creation: bool,
    /// The version of new rooms, one of [`ROOM_VERSIONS`].
    #[serde(deserialize_with = "room_version")]
    pub default_room_version: RoomVersionId,
    /// Keys of `m.room.power_levels` that new rooms begin with. What the client asks for wins.
    pub default_power_level_content_override: Option<Map<String, Value>>,
    /// Whether the list of public rooms is for people without an account, too.
    pub allow_public_room_directory_without_auth: bool,
    /// Whether people are in the rooms to which they are invited without answering.
    pub auto_accept_invites: bool,
    /// Whether only invitations to direct chats are accepted so.
    pub auto_accept_invites_direct_only: bool,
    /// Whether only invitations of the bots of application services are accepted so.
    pub auto_accept_invites_appservices_only: bool,
    /// Regular expressions of room aliases that nobody can make.
    pub forbidden_alias_names: Patterns,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            allow_encryption: true,
            allow_room_creation: true,
            default_room_version: RoomVersionId::V11,
            default_power_level_content_override: None,
            allow_public_room_directory_without_auth: false,
            auto_accept_invites: false,
            auto_accept_invites_direct_only: false,
            auto_accept_invites_appservices_only: true,
            forbidden_alias_names: Patterns::default(),
        }
    }
}

/// Versions are texts, but they all look like numbers, and people write them so.
#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(u64),
}

fn room_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoomVersionId, D::Error> {
    let refused = || de::Error::custom("expected \"10\", \"11\" or \"12\"");
    let version = match Version::deserialize(deserializer).map_err(|_| refused())? {
        Version::Text(text) => text,
        Version::Number(number) => number.to_string(),
    };
    ROOM_VERSIONS
        .into_iter()
        .find(|known| known.as_str() == version)
        .ok_or_else(refused)
}
