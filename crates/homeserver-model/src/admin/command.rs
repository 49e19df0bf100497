//! The commands, as they are written after `!admin`. Their names are Tuwunel's.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::{Parser, Subcommand};
use ruma::{OwnedEventId, OwnedRoomOrAliasId, OwnedServerName};

mod media;
mod rooms;
mod server;
mod users;

pub use media::Media;
pub use rooms::{Alias, Directory, Moderation, RoomInfo, Rooms};
pub use server::ServerCommand;
pub use users::Users;

/// Manage this server.
#[derive(Debug, Parser)]
#[command(name = "!admin", version = "")]
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
    Ping {
        /// Another server. This one does not federate: it says so.
        server: Option<OwnedServerName>,
    },
    /// Show an event as it is stored.
    GetPdu { event: OwnedEventId },
    /// Show the state of a room, of one type, or with one state key.
    GetRoomState {
        room: OwnedRoomOrAliasId,
        kind: Option<String>,
        state_key: Option<String>,
    },
    /// Change what is logged until the server is started again.
    ChangeLogLevel {
        /// A level, or directives like `info,homeserver=debug`.
        #[arg(required_unless_present = "reset")]
        filter: Option<String>,
        /// As the configuration has it.
        #[arg(short, long)]
        reset: bool,
    },
    /// Say how much memory the process and the database take.
    MemoryStats {
        /// Tuwunel's letters for more; all there is is shown.
        opts: Option<String>,
    },
    /// Show what the engine of the database says of itself.
    DatabaseStats {
        /// A property, like `rocksdb.estimate-num-keys`.
        property: Option<String>,
        /// Of this table only.
        #[arg(short, long, alias = "column")]
        map: Option<String>,
    },
}
