//! What people tell the bridge to do, in the management room or anywhere after `!letta`.
//!
//! One half is pure: which commands there are, what a text means, which agent a name means, and
//! what help says. The other half, the [`CommandHandler`], carries them out and answers.
//!
//! Promises: every text that is meant as a command gets an answer, if only what is wrong with it
//! and how to say it; help is made from what clap reads by.

mod actions;
mod arguments;
mod definition;
mod encrypted;
mod failed_prompts;
mod handler;
mod help;
mod invitations;
mod lookup;
mod parse;
pub mod pause_alert;
pub mod removal_alert;
mod replaced_rooms;
mod room_settings;
mod tokens;

use std::time::Duration;

pub use self::{
    definition::{AgentAndUser, Command, Definition, Removals, ToolAndAgent},
    handler::{CommandContext, CommandHandler},
    help::{help, refusal},
    lookup::{Candidate, Lookup, MATCHES_MAX, SUGGESTIONS_MAX, find_agent},
    parse::{Parsed, TEXT_BYTES_MAX, has_prefix, parse},
};

/// What makes a message outside the management room a command.
pub const PREFIX: &str = "!letta";

/// The oldest that a command may be when it is admitted.
///
/// While the bridge or the homeserver is down, commands pile up; nobody who wrote `stop` an hour
/// ago means what is running now.
pub const COMMAND_AGE_MAX: Duration = Duration::from_mins(5);

/// Whether a command is too old to be carried out, and is reported instead.
///
/// Takes when the homeserver of the sender says that it was sent (`origin_server_ts`) and when the
/// bridge admitted it, both in milliseconds since 1970. Clocks differ: what was sent in the future
/// is never too old.
pub fn is_stale(sent_at_ms: u64, admitted_at_ms: u64) -> bool {
    let age = Duration::from_millis(admitted_at_ms.saturating_sub(sent_at_ms));
    age > COMMAND_AGE_MAX
}

#[cfg(test)]
mod tests;
