//! `server`: the server itself.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Say since when the server runs.
    Uptime,
    /// Show the configuration, without its secrets.
    ShowConfig,
    /// Read the configuration again: the server stops and starts with it, if it is without errors.
    ReloadConfig,
    /// List what this server can do besides what the specification asks for.
    ListFeatures {
        /// All that there are.
        #[arg(short, long)]
        available: bool,
        /// Those that are on, which all are.
        #[arg(short, long)]
        enabled: bool,
        /// On one line.
        #[arg(short, long)]
        comma: bool,
    },
    /// Say what the database keeps in memory.
    MemoryUsage,
    /// Forget what is kept in memory to be faster.
    ClearCaches,
    /// Make a backup of the database.
    BackupDatabase,
    /// List the backups.
    ListBackups,
    /// Check that a backup is whole.
    VerifyBackup {
        /// Which one; the newest if none is named.
        id: Option<u32>,
    },
    /// Delete all backups but the newest.
    DeleteBackups {
        /// How many stay.
        keep: usize,
    },
    /// Say something in the admin room.
    AdminNotice { message: Vec<String> },
    /// Stop the server and start it again, with the configuration as it is then.
    Restart {
        /// Tuwunel's way not to look at the program first, which this server never does.
        #[arg(short, long)]
        force: bool,
    },
    /// Stop the server.
    Shutdown,
}
