//! The commands, as clap reads them: one variant says all there is to know about a command, and help, README and this program go
//! by it.
//!
//! What follows the name of a command is one argument, whatever words it has: names of agents have spaces, and people put quotation
//! marks of every kind around them.

use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use ruma::OwnedUserId;

use super::arguments::{agent, agent_and_user, number, on_or_off, tool_and_agent, unquoted_text};
use crate::config::{Detail, Level, ToolPermissionMode};

/// Who may use a command, as clap keeps it and help says it.
const TALK: &str = "Needs the level `talk`.";
const USER: &str = "Needs the level `user`.";
const ADMIN: &str = "Needs the level `admin`.";

const AGENT: &str = "An agent is named by its name, the beginning of its name if no other begins so, its id, or its user id.";
const DECISION: &str = "Only who asked the agent, or an admin, decides, and who asked approves only with the level that \
                        `turns.approve_level` names. A reaction to the agent's message does the same: ✅ or ❌.";
const TOOL: &str = "Without an agent it is the one whose room this is. The bridge approves such calls and says so; what Letta itself \
                    knows of the tool stays as it is.";

/// A message to the bot, without the prefix.
#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true
)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// A command, understood, in the order of help. Its doc comment is its help, `before_help` says who may use it.
///
/// Agents are still as the person named them; [`find_agent`](super::find_agent) finds out who is meant.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[command(disable_help_flag = true)]
pub enum Command {
    /// Says which commands there are, or how one of them is used.
    #[command(before_help = TALK, visible_alias = "?")]
    Help {
        /// The name of a command.
        #[arg(value_name = "command")]
        topic: Option<String>,
    },
    /// Lists the agents, or those whose name contains the filter.
    #[command(before_help = USER, visible_alias = "list")]
    Agents {
        /// Only those whose name contains this.
        #[arg(value_parser = unquoted_text)]
        filter: Option<String>,
    },
    /// Tells about one agent: its id, its user, its room.
    #[command(before_help = USER, after_help = AGENT)]
    Agent {
        /// The name or id of the agent.
        #[arg(value_name = "name|id", value_parser = agent)]
        agent: String,
    },
    /// Opens a direct chat between you and an agent.
    #[command(before_help = USER, after_help = AGENT, visible_alias = "pm")]
    StartChat {
        /// The name or id of the agent.
        #[arg(value_parser = agent)]
        agent: String,
    },
    /// Stops the answer that the agent is writing here.
    #[command(
        before_help = TALK,
        after_help = "Only who asked for the answer, or an admin, can stop it. A reaction 🛑 to the answer does the same.",
        visible_alias = "cancel"
    )]
    Stop,
    /// Lets the tools run that the agent asks about here.
    #[command(before_help = TALK, after_help = DECISION)]
    Approve {
        /// What the agent is told about it.
        #[arg(value_parser = unquoted_text)]
        reason: Option<String>,
    },
    /// Denies the tools that the agent asks about here, and tells it why.
    #[command(before_help = TALK, after_help = DECISION, visible_alias = "reject")]
    Deny {
        /// What the agent is told about it.
        #[arg(value_parser = unquoted_text)]
        reason: Option<String>,
    },
    /// Lists the messages that got no answer and were set aside here, and the agents that are paused.
    #[command(
        before_help = TALK,
        after_help = "In the management room it lists those of all rooms. Who asked sees their own, admins see all."
    )]
    Failed,
    /// Tries a message again that was set aside.
    #[command(
        before_help = TALK,
        after_help = "`failed` lists them with their numbers. Who asked, or an admin, can try them again."
    )]
    Retry {
        /// What it is called by.
        #[arg(value_parser = number)]
        number: u64,
    },
    /// Says or sets how much this room sees of tools and reasoning.
    #[command(
        before_help = USER,
        after_help = "`brief` folds away which tools were used, `full` also the reasoning and what tools returned."
    )]
    Detail {
        /// How much, from now on.
        #[arg(value_name = "none|brief|full")]
        wanted: Option<Detail>,
    },
    /// Lists the tools that an agent may use without asking.
    #[command(before_help = USER, after_help = TOOL)]
    AllowedTools {
        /// The agent; nothing means the one whose room it is.
        #[arg(value_parser = unquoted_text)]
        agent: Option<String>,
    },
    /// Says how the bridge, the homeserver and Letta do.
    #[command(before_help = USER)]
    Status,
    /// Answers at once, so that you know that the bridge hears you.
    #[command(before_help = TALK)]
    Ping,
    /// Says which version of the bridge this is.
    #[command(before_help = TALK)]
    Version,
    /// Invites somebody, or you, to the room of an agent.
    #[command(before_help = ADMIN, after_help = AGENT, override_usage = "invite <agent> [@user:domain]")]
    Invite {
        /// Who, and to whose room.
        #[arg(id = "agent", value_parser = agent_and_user)]
        invitation: AgentAndUser,
    },
    /// Makes Matrix match Letta now: users, rooms, names, the space.
    #[command(
        before_help = ADMIN,
        after_help = "When more than half of the agents are gone at once, the bridge suspects a mistake and keeps their rooms. \
                      `accept-removals` says that they are really gone."
    )]
    Sync {
        /// Whether agents that are gone may lose their rooms even when they are many.
        #[arg(value_name = "accept-removals", ignore_case = true)]
        removals: Option<Removals>,
    },
    /// Asks an agent again at once that is paused because of credits, a key or a limit.
    #[command(
        before_help = ADMIN,
        after_help = "Without it one waiting message is tried by itself, after a minute at first and an hour at last."
    )]
    Resume {
        /// The name or id of the agent.
        #[arg(value_parser = agent)]
        agent: String,
    },
    /// Lets an agent use a tool always, without asking anybody.
    #[command(
        before_help = ADMIN,
        after_help = TOOL,
        visible_alias = "always-allow",
        override_usage = "allow-tool <tool> [agent]"
    )]
    AllowTool {
        /// Which, and whose.
        #[arg(id = "tool", value_parser = tool_and_agent)]
        tool: ToolAndAgent,
    },
    /// Lets an agent ask again before it uses a tool.
    #[command(before_help = ADMIN, after_help = TOOL, override_usage = "revoke-tool <tool> [agent]")]
    RevokeTool {
        /// Which, and whose.
        #[arg(id = "tool", value_parser = tool_and_agent)]
        tool: ToolAndAgent,
    },
    /// Makes a token with which a program acts as an agent over MCP.
    #[command(
        before_help = ADMIN,
        after_help = "It is shown once, so this works in the management room only. `revoke-tokens` ends it."
    )]
    Token {
        /// The name or id of the agent.
        #[arg(value_parser = agent)]
        agent: String,
    },
    /// Ends all tokens of an agent.
    #[command(before_help = ADMIN, after_help = AGENT)]
    RevokeTokens {
        /// The name or id of the agent.
        #[arg(value_parser = agent)]
        agent: String,
    },
    /// Says or sets when agents ask in this room before they use a tool.
    #[command(
        before_help = ADMIN,
        after_help = "Only where Letta lets its client choose, as the App Server does. `unrestricted` lets an agent run shell \
                      commands unasked."
    )]
    Mode {
        /// When, from now on.
        #[arg(value_name = "standard|accept-edits|strict|unrestricted")]
        wanted: Option<ToolPermissionMode>,
    },
    /// Says or sets whether agents may only talk in this room, without any tool.
    #[command(
        before_help = ADMIN,
        after_help = "Only where Letta lets its client choose, as the App Server does."
    )]
    ChatOnly {
        /// Whether, from now on.
        #[arg(value_name = "on|off", value_parser = on_or_off)]
        wanted: Option<bool>,
    },
}

/// An agent, and somebody who is invited to its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAndUser {
    /// The name or id of the agent.
    pub agent: String,
    /// Who is invited; nothing means who asks.
    pub user: Option<OwnedUserId>,
}

/// A tool, and an agent that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolAndAgent {
    /// The tool.
    pub tool: String,
    /// The agent; nothing means the one whose room it is.
    pub agent: Option<String>,
}

/// What may become of the rooms of agents that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Removals {
    /// They are given up.
    AcceptRemovals,
}

/// A command as people see it.
#[derive(Debug)]
pub struct Definition {
    /// What one writes, lower case.
    pub name: String,
    /// What one may write instead.
    pub aliases: Vec<String>,
    /// The command with its arguments, for example `agent <name|id>`.
    pub usage: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// More about it for its own help, as Markdown; may be empty.
    pub details: String,
    /// Who may use it.
    pub level: Level,
    /// What its first argument is called and may be; nothing if it takes none.
    pub(super) argument: Option<(String, String)>,
}

impl Definition {
    /// All of them, in the order of help.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| {
            let line = Line::command();
            line.get_subcommands().map(Definition::of).collect()
        });
        &ALL
    }

    /// Finds a command by its name or an alias, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        let all = Self::all().iter();
        let mut named = all.filter(|one| one.names().any(|own| own.eq_ignore_ascii_case(name)));
        named.next()
    }

    /// Its name, then its aliases.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(aliases)
    }

    fn of(command: &clap::Command) -> Self {
        let text = |text: Option<&clap::builder::StyledStr>| {
            text.map(ToString::to_string).unwrap_or_default()
        };
        let level = match text(command.get_before_help()).as_str() {
            TALK => Level::Talk,
            USER => Level::User,
            _ => Level::Admin,
        };
        let argument = command.get_positionals().next().map(|argument| {
            let value = argument.get_value_names().unwrap_or_default();
            let value = value.first().map_or_else(
                || argument.get_id().to_string(),
                |name| name.to_string().to_lowercase(),
            );
            (argument.get_id().to_string(), value)
        });
        Self {
            name: command.get_name().to_owned(),
            aliases: command.get_visible_aliases().map(str::to_owned).collect(),
            usage: usage(command),
            // Clap takes the full stop away.
            summary: format!("{}.", text(command.get_about())),
            details: text(command.get_after_help()),
            level,
            argument,
        }
    }
}

/// The usage as people write it. Clap writes the names of arguments without a `value_name` in capitals.
fn usage(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage
        .trim_start_matches("Usage:")
        .trim()
        .to_ascii_lowercase()
}
