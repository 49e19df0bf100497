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

impl Default for Tools {
    fn default() -> Self {
        Self {
            mcp: true,
            allow: DEFAULT_TOOLS.map(str::to_owned).to_vec(),
            per_minute: const { NonZeroU32::new(30).unwrap() },
        }
    }
}

impl Tools {
    /// All tools that there are, in the order of the catalogue.
    pub const NAMES: [&str; 16] = [
        "matrix_send",
        "matrix_reply",
        "matrix_react",
        "matrix_edit",
        "matrix_redact",
        "matrix_read",
        "matrix_rooms",
        "matrix_room_info",
        "matrix_members",
        "matrix_create_room",
        "matrix_invite",
        "matrix_join",
        "matrix_leave",
        "matrix_set_topic",
        "matrix_typing",
        "list_agents",
    ];
}

/// What agents may use unless an admin says otherwise: to speak where they are, and to look around.
const DEFAULT_TOOLS: [&str; 9] = [
    "matrix_send",
    "matrix_reply",
    "matrix_react",
    "matrix_edit",
    "matrix_redact",
    "matrix_read",
    "matrix_rooms",
    "matrix_members",
    "list_agents",
];
