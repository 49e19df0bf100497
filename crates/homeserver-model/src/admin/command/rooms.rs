//! `rooms`: what there is, their names, and their end.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::Subcommand;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId};

#[derive(Debug, Subcommand)]
pub enum Rooms {
    /// List all rooms, the largest first.
    List {
        /// Which page; a page has 100 rooms.
        page: Option<usize>,
        /// Leave out rooms that may not federate. This server does not federate: none is left out.
        #[arg(long)]
        exclude_disabled: bool,
        /// Leave out banned rooms.
        #[arg(long)]
        exclude_banned: bool,
        /// Only the ids.
        #[arg(long)]
        no_details: bool,
    },
    /// Say what a room is.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Info {
        #[arg(required = true)]
        room: Option<OwnedRoomOrAliasId>,
        #[command(subcommand)]
        about: Option<RoomInfo>,
    },
    /// List who is in a room.
    ListJoinedMembers {
        room: OwnedRoomOrAliasId,
        /// Only users of this server, which all are.
        #[arg(long)]
        local_only: bool,
    },
    /// Ban rooms, and see which are.
    #[command(subcommand)]
    Moderation(Moderation),
    /// The names of rooms.
    #[command(subcommand)]
    Alias(Alias),
    /// The list of public rooms.
    #[command(subcommand)]
    Directory(Directory),
    /// Say whether there is such a room.
    Exists { room: OwnedRoomId },
    /// Delete a room with all its events. Everybody leaves it first.
    Delete {
        room: OwnedRoomId,
        /// Forget also that people were in it: clients that are not there just now never learn that it is gone.
        #[arg(short, long)]
        force: bool,
    },
    /// Delete the rooms that nobody is in or invited to.
    PruneEmpty {
        /// As for `delete`.
        #[arg(short, long)]
        force: bool,
    },
    /// Delete every room that somebody is in.
    PurgeUser {
        /// A user, or an expression that is searched for in the members of each room.
        user: String,
        /// Take the user for a regular expression.
        #[arg(long)]
        regex: bool,
        /// Only rooms that nobody else is in.
        #[arg(long)]
        sole_member: bool,
        /// Only list them.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What is shown of a room, by Tuwunel's names.
#[derive(Debug, Subcommand)]
pub enum RoomInfo {
    /// List who is in a room.
    ListJoinedMembers {
        room: OwnedRoomOrAliasId,
        /// Only users of this server, which all are.
        #[arg(long)]
        local_only: bool,
    },
    /// Show the topic of a room.
    ViewRoomTopic { room: OwnedRoomOrAliasId },
}

#[derive(Debug, Subcommand)]
pub enum Moderation {
    /// Ban a room: everybody leaves it, nobody can join it, its names are free again.
    BanRoom { room: OwnedRoomOrAliasId },
    /// Ban the rooms that stand in the code block below the command, one on each line.
    BanListOfRooms,
    /// Let people into a room again.
    UnbanRoom { room: OwnedRoomOrAliasId },
    /// List the banned rooms.
    ListBannedRooms {
        /// Only the ids.
        #[arg(long)]
        no_details: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Alias {
    /// Make a name lead to a room.
    Set {
        /// Even if it leads to another one.
        #[arg(short, long)]
        force: bool,
        room: OwnedRoomId,
        /// What stands between `#` and the colon.
        alias: String,
    },
    /// Remove a name.
    Remove {
        /// What stands between `#` and the colon.
        alias: String,
    },
    /// Say where a name leads.
    Which {
        /// What stands between `#` and the colon.
        alias: String,
    },
    /// List all names, or those of a room.
    List { room: Option<OwnedRoomId> },
}

#[derive(Debug, Subcommand)]
pub enum Directory {
    /// Put a room into the list of public rooms.
    Publish {
        room: OwnedRoomOrAliasId,
        /// Without a word about its name.
        #[arg(long)]
        force: bool,
    },
    /// Take a room out of the list of public rooms.
    Unpublish { room: OwnedRoomOrAliasId },
    /// Show the list.
    List {
        /// Which page; a page has 100 rooms.
        page: Option<usize>,
    },
}
