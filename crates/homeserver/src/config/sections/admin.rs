//! The admin room: who gets into it, and which commands run at the start.

use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// The tag with which Element keeps a room at the end of the list.
const DEFAULT_ROOM_TAG: &str = "m.server_notice";

/// The admins and their room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct Admin {
    /// Commands to run at the start, as they are written after `!admin`.
    pub admin_execute: Vec<String>,
    /// Whether the server starts though one of them failed.
    pub admin_execute_errors_ignore: bool,
    /// Whether an admin can run `\!admin …` from any room. Tuwunel's default is true; here it is false, because who copies a
    /// message that somebody else thought of, into whichever room, has not meant to command the server.
    pub admin_escape_commands: bool,
    /// The tag that the room gets when an admin joins it; empty for none.
    pub admin_room_tag: String,
    /// Whether the first person who makes an account becomes admin.
    pub grant_admin_to_first_user: bool,
    /// Whether there is an admin room at all.
    pub create_admin_room: bool,
    /// A password that logs in as the server itself, for whoever lost the way into the admin room.
    pub emergency_password: Option<Secret>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            admin_execute: Vec::new(),
            admin_execute_errors_ignore: false,
            admin_escape_commands: false,
            admin_room_tag: DEFAULT_ROOM_TAG.to_owned(),
            grant_admin_to_first_user: true,
            create_admin_room: true,
            emergency_password: None,
        }
    }
}
