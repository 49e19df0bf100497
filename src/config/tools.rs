//! What agents may do in Matrix by themselves.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What agents may do in Matrix by tools of their own. An agent acts as its own user, in rooms that it is in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// Whether there is an MCP server at `/mcp`, on the port of the embedded homeserver, or on that of the bridge beside another one. Who
    /// calls it needs a token, which `!letta token <agent>` makes.
    pub mcp: bool,
    /// The tools that agents may use. There are also `matrix_room_info`, `matrix_create_room`, `matrix_invite`, `matrix_join`,
    /// `matrix_leave`, `matrix_set_topic` and `matrix_typing`.
    pub allow: Vec<String>,
    /// How often an agent may use them within a minute.
    pub per_minute: NonZeroU32,
}

impl Tools {
    /// All tools that there are, in the order of the catalogue, and whether agents may use them unless an admin says otherwise: to speak
    /// where they are, and to look around.
    pub const ALL: [(&str, bool); 16] = [
        ("matrix_send", true),
        ("matrix_reply", true),
        ("matrix_react", true),
        ("matrix_edit", true),
        ("matrix_redact", true),
        ("matrix_read", true),
        ("matrix_rooms", true),
        ("matrix_room_info", false),
        ("matrix_members", true),
        ("matrix_create_room", false),
        ("matrix_invite", false),
        ("matrix_join", false),
        ("matrix_leave", false),
        ("matrix_set_topic", false),
        ("matrix_typing", false),
        ("list_agents", true),
    ];

    /// Their names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(name, _)| name)
    }
}

impl Default for Tools {
    fn default() -> Self {
        let allowed = Self::ALL.into_iter().filter(|(_, is_default)| *is_default);
        Self {
            mcp: true,
            allow: allowed.map(|(name, _)| name.to_owned()).collect(),
            per_minute: const { NonZeroU32::new(30).unwrap() },
        }
    }
}
