//! Commands about what got no answer: to see it, to try it again, to ask a paused agent again.

use super::{Definition, Misuse, agent, nothing};
use crate::{commands::Command, config::Level};

pub(in crate::commands) const FAILED: Definition = Definition {
    name: "failed",
    aliases: &[],
    arguments: "",
    summary: "Lists the messages that got no answer and were set aside here, and the agents that are paused.",
    details: "In the management room it lists those of all rooms. Who asked sees their own, admins see all.",
    level: Level::Talk,
    read: |arguments| nothing(arguments, Command::Failed),
};

pub(in crate::commands) const RETRY: Definition = Definition {
    name: "retry",
    aliases: &[],
    arguments: "<number>",
    summary: "Tries a message again that was set aside.",
    details: "`failed` lists them with their numbers. Who asked, or an admin, can try them again.",
    level: Level::Talk,
    read: |arguments| {
        let number = arguments.trim_start_matches('#').parse();
        let number = number.map_err(|_| Misuse::NoNumber)?;
        Ok(Command::Retry { number })
    },
};

pub(in crate::commands) const RESUME: Definition = Definition {
    name: "resume",
    aliases: &[],
    arguments: "<agent>",
    summary: "Asks an agent again at once that is paused because of credits, a key or a limit.",
    details: "Without it one waiting message is tried by itself, after a minute at first and an hour at last.",
    level: Level::Admin,
    read: |arguments| {
        Ok(Command::Resume {
            agent: agent(arguments)?,
        })
    },
};
