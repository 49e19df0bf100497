//! `users`: accounts, and what can be done in their name.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::Subcommand;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedRoomOrAliasId};

#[allow(
    clippy::enum_variant_names,
    reason = "the names are the commands that admins type"
)]
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Make an account. Without a password one is made up.
    #[command(alias = "create")]
    CreateUser {
        name: String,
        password: Option<String>,
    },
    /// Give an account a new password. Without one, one is made up.
    ResetPassword {
        name: String,
        password: Option<String>,
    },
    /// End an account for ever. It leaves all rooms.
    Deactivate {
        /// Stay in the rooms, as somebody who says nothing any more.
        #[arg(short, long)]
        no_leave_rooms: bool,
        user: String,
    },
    /// End the accounts that stand in the code block below the command, one on each line.
    DeactivateAll {
        /// Stay in the rooms, as people who say nothing any more.
        #[arg(short, long)]
        no_leave_rooms: bool,
        /// Also those of admins.
        #[arg(short, long)]
        force: bool,
    },
    /// List all accounts of people.
    #[command(alias = "list")]
    ListUsers,
    /// List who was there last.
    LastActive {
        /// How many are listed.
        #[arg(short, long)]
        limit: Option<usize>,
    },
    /// Make somebody an admin.
    MakeUserAdmin { user: String },
    /// List the rooms that somebody is in.
    ListJoinedRooms { user: String },
    /// Put somebody into a room.
    ForceJoinRoom {
        user: String,
        room: OwnedRoomOrAliasId,
    },
    /// Take somebody out of a room.
    ForceLeaveRoom {
        user: String,
        room: OwnedRoomOrAliasId,
    },
    /// Decline all invitations of somebody.
    RejectInvites {
        user: String,
        /// Why, as those who invited read it.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let somebody give up their power in a room, down to what everybody there has.
    ForceDemote {
        user: String,
        room: OwnedRoomOrAliasId,
    },
    /// Give somebody as much power in a room as its most powerful member who can give it.
    ForcePromote {
        user: String,
        room: OwnedRoomOrAliasId,
    },
    /// Set or clear a field of somebody's profile.
    SetProfileKey {
        user: String,
        /// The field, like `displayname`, `avatar_url` or `m.tz`.
        key: String,
        /// The value: JSON, or a text.
        #[arg(required_unless_present = "clear")]
        value: Vec<String>,
        /// Remove the field.
        #[arg(long, conflicts_with = "value")]
        clear: bool,
    },
    /// Log a device out.
    DeleteDevice { user: String, device: OwnedDeviceId },
    /// Tag a room for somebody, like `m.favourite` or `m.server_notice`.
    PutRoomTag {
        user: String,
        room: OwnedRoomId,
        tag: String,
    },
    /// Take a tag off a room for somebody.
    DeleteRoomTag {
        user: String,
        room: OwnedRoomId,
        tag: String,
    },
    /// Show the tags that a room has for somebody.
    GetRoomTags { user: String, room: OwnedRoomId },
    /// Take back an event, as its sender.
    RedactEvent { event: OwnedEventId },
}
