//! The table of commands.
//!
//! One row says all there is to know about a command; reading and help both go by it.

use ruma::UserId;

pub(super) use self::{
    choices::{ALLOW_TOOL, ALLOWED_TOOLS, CHAT_ONLY, DETAIL, MODE, REVOKE_TOOL},
    failed::{FAILED, RESUME, RETRY},
};
use super::Command;
use crate::config::Level;

mod choices;
mod failed;

/// A command as people see it.
#[derive(Debug)]
pub struct Definition {
    /// What one writes, lower case.
    pub name: &'static str,
    /// What one may write instead.
    pub aliases: &'static [&'static str],
    /// What follows the name: `<needed>`, `[optional]`; empty if nothing does.
    pub arguments: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// More about it for its own help, as Markdown; may be empty.
    pub details: &'static str,
    /// Who may use it.
    pub level: Level,
    /// Reads what follows the name.
    pub(super) read: fn(&str) -> Result<Command, Misuse>,
}

impl Definition {
    /// The command with its arguments, for example `agent <name|id>`.
    pub fn usage(&self) -> String {
        if self.arguments.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} {}", self.name, self.arguments)
        }
    }

    /// Finds a command by its name or an alias, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        DEFINITIONS
            .iter()
            .copied()
            .find(|definition| definition.names().any(|own| own.eq_ignore_ascii_case(name)))
    }

    /// Its name, then its aliases.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// What is wrong with the arguments of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// Something follows that the command does not take.
    TooMuch,
    /// It does not say which agent.
    NoAgent,
    /// It does not say which tool.
    NoTool,
    /// It does not say which number.
    NoNumber,
    /// What follows is none of these.
    NoSuchChoice(&'static str),
    /// What looks like a user id is none.
    NotAUser(String),
    /// Help is asked for on something that is no command.
    NoSuchCommand(String),
}

/// All commands, in the order of help.
pub const DEFINITIONS: &[&Definition] = &[
    &HELP,
    &AGENTS,
    &AGENT,
    &START_CHAT,
    &STOP,
    &APPROVE,
    &DENY,
    &FAILED,
    &RETRY,
    &DETAIL,
    &ALLOWED_TOOLS,
    &STATUS,
    &PING,
    &VERSION,
    &INVITE,
    &SYNC,
    &RESUME,
    &ALLOW_TOOL,
    &REVOKE_TOOL,
    &MODE,
    &CHAT_ONLY,
];

pub(super) const HELP: Definition = Definition {
    name: "help",
    aliases: &["?"],
    arguments: "[command]",
    summary: "Says which commands there are, or how one of them is used.",
    details: "",
    level: Level::Talk,
    read: |arguments| {
        let asked = arguments
            .strip_prefix(super::PREFIX)
            .unwrap_or(arguments)
            .trim();
        if asked.is_empty() {
            return Ok(Command::Help { topic: None });
        }
        Definition::find(asked)
            .map(|definition| Command::Help {
                topic: Some(definition.name),
            })
            .ok_or_else(|| Misuse::NoSuchCommand(asked.to_owned()))
    },
};

pub(super) const AGENTS: Definition = Definition {
    name: "agents",
    aliases: &["list"],
    arguments: "[filter]",
    summary: "Lists the agents, or those whose name contains the filter.",
    details: "",
    level: Level::User,
    read: |arguments| {
        Ok(Command::Agents {
            filter: text(arguments),
        })
    },
};

pub(super) const AGENT: Definition = Definition {
    name: "agent",
    aliases: &[],
    arguments: "<name|id>",
    summary: "Tells about one agent: its id, its user, its room.",
    details: AGENT_DETAILS,
    level: Level::User,
    read: |arguments| {
        Ok(Command::Agent {
            name: agent(arguments)?,
        })
    },
};

pub(super) const START_CHAT: Definition = Definition {
    name: "start-chat",
    aliases: &["pm"],
    arguments: "<agent>",
    summary: "Opens a direct chat between you and an agent.",
    details: AGENT_DETAILS,
    level: Level::User,
    read: |arguments| {
        Ok(Command::StartChat {
            agent: agent(arguments)?,
        })
    },
};

pub(super) const STOP: Definition = Definition {
    name: "stop",
    aliases: &["cancel"],
    arguments: "",
    summary: "Stops the answer that the agent is writing here.",
    details: "Only who asked for the answer, or an admin, can stop it. A reaction 🛑 to the answer \
              does the same.",
    level: Level::Talk,
    read: |arguments| nothing(arguments, Command::Stop),
};

pub(super) const APPROVE: Definition = Definition {
    name: "approve",
    aliases: &[],
    arguments: "[reason]",
    summary: "Lets the tools run that the agent asks about here.",
    details: DECISION_DETAILS,
    level: Level::Talk,
    read: |arguments| {
        Ok(Command::Decide {
            approve: true,
            reason: text(arguments),
        })
    },
};

pub(super) const DENY: Definition = Definition {
    name: "deny",
    aliases: &["reject"],
    arguments: "[reason]",
    summary: "Denies the tools that the agent asks about here, and tells it why.",
    details: DECISION_DETAILS,
    level: Level::Talk,
    read: |arguments| {
        Ok(Command::Decide {
            approve: false,
            reason: text(arguments),
        })
    },
};

pub(super) const STATUS: Definition = Definition {
    name: "status",
    aliases: &[],
    arguments: "",
    summary: "Says how the bridge, the homeserver and Letta do.",
    details: "",
    level: Level::User,
    read: |arguments| nothing(arguments, Command::Status),
};

pub(super) const PING: Definition = Definition {
    name: "ping",
    aliases: &[],
    arguments: "",
    summary: "Answers at once, so that you know that the bridge hears you.",
    details: "",
    level: Level::Talk,
    read: |arguments| nothing(arguments, Command::Ping),
};

pub(super) const VERSION: Definition = Definition {
    name: "version",
    aliases: &[],
    arguments: "",
    summary: "Says which version of the bridge this is.",
    details: "",
    level: Level::Talk,
    read: |arguments| nothing(arguments, Command::Version),
};

pub(super) const INVITE: Definition = Definition {
    name: "invite",
    aliases: &[],
    arguments: "<agent> [@user:domain]",
    summary: "Invites somebody, or you, to the room of an agent.",
    details: AGENT_DETAILS,
    level: Level::Admin,
    read: read_invite,
};

pub(super) const SYNC: Definition = Definition {
    name: "sync",
    aliases: &[],
    arguments: "[accept-removals]",
    summary: "Makes Matrix match Letta now: users, rooms, names, the space.",
    details: "When more than half of the agents are gone at once, the bridge suspects a mistake \
              and keeps their rooms. `accept-removals` says that they are really gone.",
    level: Level::Admin,
    read: |arguments| {
        let accept_removals = arguments.eq_ignore_ascii_case("accept-removals");
        if accept_removals || arguments.is_empty() {
            Ok(Command::Sync { accept_removals })
        } else {
            Err(Misuse::TooMuch)
        }
    },
};

const DECISION_DETAILS: &str = "Only who asked the agent, or an admin, decides, and who asked \
                                approves only with the level that `turns.approve_level` names. A reaction to the agent's message \
                                does the same: ✅ or ❌.";

const AGENT_DETAILS: &str = "An agent is named by its name, the beginning of its name if no other \
                             begins so, its id, or its user id.";

fn read_invite(arguments: &str) -> Result<Command, Misuse> {
    // A name may have spaces, so the user is the last word if it looks like one. The agent may be
    // given by its user id, so a lone user id is the agent.
    let (name, user) = match arguments.rsplit_once(char::is_whitespace) {
        Some((name, word)) if word.starts_with('@') => {
            let user = UserId::parse(word).map_err(|_| Misuse::NotAUser(word.to_owned()))?;
            (name, Some(user))
        }
        _ => (arguments, None),
    };
    Ok(Command::Invite {
        agent: agent(name)?,
        user,
    })
}

fn nothing(arguments: &str, command: Command) -> Result<Command, Misuse> {
    if arguments.is_empty() {
        Ok(command)
    } else {
        Err(Misuse::TooMuch)
    }
}

fn agent(arguments: &str) -> Result<String, Misuse> {
    text(arguments).ok_or(Misuse::NoAgent)
}

/// The words without the quotation marks that people put around names with spaces.
fn text(arguments: &str) -> Option<String> {
    let words = arguments.trim();
    let words = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“')]
        .into_iter()
        .find_map(|(open, close)| words.strip_prefix(open)?.strip_suffix(close))
        .unwrap_or(words)
        .trim();
    (!words.is_empty()).then(|| words.to_owned())
}
