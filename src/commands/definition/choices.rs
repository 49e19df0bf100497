//! Commands with which people choose how agents behave in a room, and which tools need no asking.

use super::{Definition, Misuse, text};
use crate::{commands::Command, config::Level};

pub(in crate::commands) const DETAIL: Definition = Definition {
    name: "detail",
    aliases: &[],
    arguments: "[none|brief|full]",
    summary: "Says or sets how much this room sees of tools and reasoning.",
    details: "`brief` folds away which tools were used, `full` also the reasoning and what tools \
              returned.",
    level: Level::User,
    read: |arguments| Ok(Command::Detail(choice(arguments, "none, brief, full")?)),
};

pub(in crate::commands) const MODE: Definition = Definition {
    name: "mode",
    aliases: &[],
    arguments: "[standard|accept-edits|strict|unrestricted]",
    summary: "Says or sets when agents ask in this room before they use a tool.",
    details: "Only where Letta lets its client choose, as the App Server does. `unrestricted` lets \
              an agent run shell commands unasked.",
    level: Level::Admin,
    read: |arguments| {
        let all = "standard, accept-edits, strict, unrestricted";
        Ok(Command::Mode(choice(arguments, all)?))
    },
};

pub(in crate::commands) const CHAT_ONLY: Definition = Definition {
    name: "chat-only",
    aliases: &[],
    arguments: "[on|off]",
    summary: "Says or sets whether agents may only talk in this room, without any tool.",
    details: "Only where Letta lets its client choose, as the App Server does.",
    level: Level::Admin,
    read: |arguments| match arguments.to_ascii_lowercase().as_str() {
        "" => Ok(Command::ChatOnly(None)),
        "on" => Ok(Command::ChatOnly(Some(true))),
        "off" => Ok(Command::ChatOnly(Some(false))),
        _ => Err(Misuse::NoSuchChoice("on, off")),
    },
};

pub(in crate::commands) const ALLOW_TOOL: Definition = Definition {
    name: "allow-tool",
    aliases: &["always-allow"],
    arguments: "<tool> [agent]",
    summary: "Lets an agent use a tool always, without asking anybody.",
    details: TOOL_DETAILS,
    level: Level::Admin,
    read: |arguments| {
        let (tool, agent) = tool(arguments)?;
        Ok(Command::AllowTool { tool, agent })
    },
};

pub(in crate::commands) const ALLOWED_TOOLS: Definition = Definition {
    name: "allowed-tools",
    aliases: &[],
    arguments: "[agent]",
    summary: "Lists the tools that an agent may use without asking.",
    details: TOOL_DETAILS,
    level: Level::User,
    read: |arguments| {
        Ok(Command::AllowedTools {
            agent: text(arguments),
        })
    },
};

pub(in crate::commands) const REVOKE_TOOL: Definition = Definition {
    name: "revoke-tool",
    aliases: &[],
    arguments: "<tool> [agent]",
    summary: "Lets an agent ask again before it uses a tool.",
    details: TOOL_DETAILS,
    level: Level::Admin,
    read: |arguments| {
        let (tool, agent) = tool(arguments)?;
        Ok(Command::RevokeTool { tool, agent })
    },
};

const TOOL_DETAILS: &str = "Without an agent it is the one whose room this is. The bridge approves \
                            such calls and says so; what Letta itself knows of the tool stays as \
                            it is.";

/// One of some choices, if a word follows.
fn choice<T: std::str::FromStr>(arguments: &str, all: &'static str) -> Result<Option<T>, Misuse> {
    match arguments {
        "" => Ok(None),
        word => word
            .parse()
            .map(Some)
            .map_err(|_| Misuse::NoSuchChoice(all)),
    }
}

/// A tool, and after it perhaps an agent, whose name may have spaces.
fn tool(arguments: &str) -> Result<(String, Option<String>), Misuse> {
    let (tool, agent) = arguments
        .split_once(char::is_whitespace)
        .unwrap_or((arguments, ""));
    let tool = text(tool).ok_or(Misuse::NoTool)?;
    Ok((tool, text(agent)))
}
