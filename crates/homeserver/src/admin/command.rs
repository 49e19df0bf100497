//! The commands, as they are written after `!admin`. Their names are Tuwunel's.

use clap::{Parser, Subcommand};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedRoomOrAliasId};

/// Manage this server.
#[derive(Debug, Parser)]
#[command(name = "!admin", disable_version_flag = true)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Application services.
    #[command(subcommand)]
    Appservices(Appservices),
    /// Accounts.
    #[command(subcommand)]
    Users(Users),
    /// Rooms.
    #[command(subcommand)]
    Rooms(Rooms),
    /// The server itself.
    #[command(subcommand)]
    Server(Running),
    /// Registration tokens.
    #[command(subcommand)]
    Token(Token),
    /// For whoever looks for a fault.
    #[command(subcommand)]
    Debug(Debug),
}

#[derive(Debug, Subcommand)]
pub(super) enum Appservices {
    /// Register the application service whose registration stands in the code block below the command.
    Register,
    /// Unregister an application service.
    Unregister { id: String },
    /// Show the registration of an application service, its tokens included.
    #[command(alias = "show")]
    ShowConfig { id: String },
    /// List all application services.
    List,
}

#[allow(
    clippy::enum_variant_names,
    reason = "the names are the commands that admins type"
)]
#[derive(Debug, Subcommand)]
pub(super) enum Users {
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
    /// End an account for ever.
    Deactivate { user: String },
    /// List all accounts of people.
    #[command(alias = "list")]
    ListUsers,
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
    /// Log a device out.
    DeleteDevice { user: String, device: OwnedDeviceId },
    /// Take back an event, as its sender.
    RedactEvent { event: OwnedEventId },
}

#[derive(Debug, Subcommand)]
pub(super) enum Rooms {
    /// List all rooms.
    List,
    /// Say what a room is.
    Info { room: OwnedRoomOrAliasId },
    /// List who is in a room.
    ListJoinedMembers { room: OwnedRoomOrAliasId },
    /// Say whether there is such a room.
    Exists { room: OwnedRoomId },
}

#[derive(Debug, Subcommand)]
pub(super) enum Running {
    /// Say since when the server runs.
    Uptime,
    /// Show the configuration, without its secrets.
    ShowConfig,
    /// Say what the database keeps in memory.
    MemoryUsage,
    /// Make a backup of the database.
    BackupDatabase,
    /// List the backups.
    ListBackups,
    /// Check that a backup is whole.
    VerifyBackup { id: u32 },
    /// Delete all backups but the newest.
    DeleteBackups {
        /// How many stay.
        #[arg(long, default_value_t = 1)]
        keep: usize,
    },
    /// Say something in the admin room.
    AdminNotice { message: Vec<String> },
    /// Stop the server.
    Shutdown,
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Issue a registration token.
    Issue {
        /// For how many accounts it counts.
        #[arg(long)]
        max_uses: Option<u64>,
        /// How long it counts, as in 7d.
        #[arg(long)]
        max_age: Option<String>,
        /// For one account only.
        #[arg(long)]
        once: bool,
    },
    /// Revoke a registration token.
    Revoke { token: String },
    /// List the registration tokens.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Debug {
    /// Answer.
    Ping,
    /// Show an event as it is stored.
    GetPdu { event: OwnedEventId },
    /// Show the state of a room.
    GetRoomState { room: OwnedRoomOrAliasId },
}
