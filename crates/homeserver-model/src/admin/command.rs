//! The commands, as they are written after `!admin`. Their names are Tuwunel's.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::{Parser, Subcommand};
use ruma::{OwnedEventId, OwnedRoomOrAliasId};

mod media;
mod rooms;
mod server;
mod users;

pub use media::Media;
pub use rooms::{Alias, Directory, Moderation, Rooms};
pub use server::ServerCommand;
pub use users::Users;

/// Manage this server.
#[derive(Debug, Parser)]
#[command(name = "!admin", disable_version_flag = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
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
    Server(ServerCommand),
    /// Uploaded files.
    #[command(subcommand)]
    Media(Media),
    /// Registration tokens.
    #[command(subcommand)]
    Token(Token),
    /// For whoever looks for a fault.
    #[command(subcommand)]
    Debug(Debug),
}

#[derive(Debug, Subcommand)]
pub enum Appservices {
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

#[derive(Debug, Subcommand)]
pub enum Token {
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
pub enum Debug {
    /// Answer.
    Ping,
    /// Show an event as it is stored.
    GetPdu { event: OwnedEventId },
    /// Show the state of a room.
    GetRoomState { room: OwnedRoomOrAliasId },
}
