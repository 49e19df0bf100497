//! `media`: uploaded files.

#![expect(
    missing_docs,
    reason = "a comment on an argument is help that admins read; most need none"
)]

use clap::Subcommand;
use ruma::{OwnedEventId, OwnedMxcUri, OwnedServerName};

#[allow(
    clippy::enum_variant_names,
    reason = "the names are the commands that admins type"
)]
#[derive(Debug, Subcommand)]
pub enum Media {
    /// Delete a file, or the files of an event.
    Delete {
        /// The file, like `mxc://server/id`.
        #[arg(long, required_unless_present = "event_id")]
        mxc: Option<OwnedMxcUri>,
        /// The event whose files are deleted.
        #[arg(long, conflicts_with = "mxc")]
        event_id: Option<OwnedEventId>,
    },
    /// Delete the files of an event.
    DeleteByEvent {
        /// The event whose files are deleted.
        #[arg(long)]
        event_id: OwnedEventId,
    },
    /// Delete the files that stand in the code block below the command, one on each line.
    DeleteList,
    /// Delete files that came before or after a time.
    #[command(alias = "delete-past-remote-media")]
    DeleteRange {
        /// How long ago, as in 30s, 5m or 7d.
        duration: String,
        /// Those that came before.
        #[arg(
            long,
            short,
            alias = "before",
            short_alias = 'b',
            conflicts_with = "newer_than",
            required_unless_present = "newer_than"
        )]
        older_than: bool,
        /// Those that came after.
        #[arg(long, short, alias = "after", short_alias = 'a')]
        newer_than: bool,
        /// Files of this server, too. All are: without it none is deleted.
        #[arg(long)]
        yes_i_want_to_delete_local_media: bool,
    },
    /// Delete all files that somebody uploaded.
    DeleteAllFromUser { user: String },
    /// Delete all files of a server.
    DeleteAllFromServer {
        server_name: OwnedServerName,
        /// Even if it is this one.
        #[arg(long)]
        yes_i_want_to_delete_local_media: bool,
    },
    /// Show what is known of a file.
    GetFileInfo { mxc: OwnedMxcUri },
}
