//! What people tell the bridge to do, in the management room or anywhere after `!letta`.
//!
//! One half is pure: which commands there are, what a text means, which agent a name means, and
//! what help says. The other half, the [`Clerk`], carries them out and answers.
//!
//! Promises: every text that is meant as a command gets an answer, if only what is wrong with it
//! and how to say it; help is made from the same table that is read from.

mod actions;
pub mod alarm;
mod choices;
mod clerk;
mod definition;
mod failed;
mod help;
mod invitations;
mod lookup;
mod parse;
pub mod paused;

use std::time::Duration;

use ruma::OwnedUserId;

use crate::config::{Detail, Mode};

pub use self::{
    clerk::{Clerk, ClerkDesk},
    definition::{DEFINITIONS, Definition},
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

/// A command, understood.
///
/// Agents are still as the person named them; [`find_agent`] finds out who is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Says which commands there are, or how one of them is used.
    Help {
        /// The name of a command, as in [`Definition::name`].
        topic: Option<&'static str>,
    },
    /// Says which version of the bridge this is.
    Version,
    /// Says how the bridge, the homeserver and Letta do.
    Status,
    /// Answers at once.
    Ping,
    /// Lists the agents.
    Agents {
        /// Only those whose name contains this.
        filter: Option<String>,
    },
    /// Describes one agent.
    Agent {
        /// The name or id of the agent.
        name: String,
    },
    /// Invites somebody to an agent's room.
    Invite {
        /// The name or id of the agent.
        agent: String,
        /// Who is invited; nothing means who asks.
        user: Option<OwnedUserId>,
    },
    /// Opens a direct chat with an agent.
    StartChat {
        /// The name or id of the agent.
        agent: String,
    },
    /// Makes Matrix match Letta now.
    Sync {
        /// Whether agents that are gone may lose their rooms even when they are many.
        accept_removals: bool,
    },
    /// Stops the answer that is being written in this conversation.
    Stop,
    /// Lists what got no answer and was set aside.
    Failed,
    /// Tries again what was set aside.
    Retry {
        /// What it is called by.
        number: u64,
    },
    /// Asks a paused agent again at once.
    Resume {
        /// The name or id of the agent.
        agent: String,
    },
    /// Decides whether the tools may run that wait in this conversation.
    Decide {
        /// Whether they may.
        approve: bool,
        /// What the agent is told about it.
        reason: Option<String>,
    },
    /// Says or sets how much a room sees of tools and reasoning.
    Detail(Option<Detail>),
    /// Says or sets when agents have to ask in a room.
    Mode(Option<Mode>),
    /// Says or sets whether agents may only talk in a room.
    ChatOnly(Option<bool>),
    /// Lets an agent use a tool without asking.
    AllowTool {
        /// The tool.
        tool: String,
        /// The agent; nothing means the one whose room it is.
        agent: Option<String>,
    },
    /// Lets an agent ask again before it uses a tool.
    RevokeTool {
        /// The tool.
        tool: String,
        /// The agent; nothing means the one whose room it is.
        agent: Option<String>,
    },
    /// Lists the tools that an agent may use without asking.
    AllowedTools {
        /// The agent; nothing means the one whose room it is.
        agent: Option<String>,
    },
}

impl Command {
    /// The row of the table that this command comes from.
    pub fn definition(&self) -> &'static Definition {
        match self {
            Self::Help { .. } => &definition::HELP,
            Self::Version => &definition::VERSION,
            Self::Status => &definition::STATUS,
            Self::Ping => &definition::PING,
            Self::Agents { .. } => &definition::AGENTS,
            Self::Agent { .. } => &definition::AGENT,
            Self::Invite { .. } => &definition::INVITE,
            Self::StartChat { .. } => &definition::START_CHAT,
            Self::Sync { .. } => &definition::SYNC,
            Self::Stop => &definition::STOP,
            Self::Failed => &definition::FAILED,
            Self::Retry { .. } => &definition::RETRY,
            Self::Resume { .. } => &definition::RESUME,
            Self::Decide { approve: true, .. } => &definition::APPROVE,
            Self::Decide { approve: false, .. } => &definition::DENY,
            Self::Detail(_) => &definition::DETAIL,
            Self::Mode(_) => &definition::MODE,
            Self::ChatOnly(_) => &definition::CHAT_ONLY,
            Self::AllowTool { .. } => &definition::ALLOW_TOOL,
            Self::RevokeTool { .. } => &definition::REVOKE_TOOL,
            Self::AllowedTools { .. } => &definition::ALLOWED_TOOLS,
        }
    }
}

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
