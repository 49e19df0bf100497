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
    /// Delete the files that stand in the code block below the command, one on each line.
    DeleteList,
    /// Delete files that came before or after a time.
    DeletePastRemoteMedia {
        /// How long ago, as in 30s, 5m or 7d.
        duration: String,
        /// Those that came before.
        #[arg(
            long,
            short,
            conflicts_with = "after",
            required_unless_present = "after"
        )]
        before: bool,
        /// Those that came after.
        #[arg(long, short)]
        after: bool,
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
