//! Carries out what people choose: how agents behave in a room, and which tools need no asking.

use std::fmt::{Display, Write};

use letta_client::AgentId;

use super::{ToolAndAgent, handler::CommandHandler, help::code};
use crate::{
    config::{Detail, ToolPermissionMode},
    journal::{Allowance, JournalError, RoomKind, RoomSettings},
    matrix::untrusted_text::inline,
    time::Millis,
    turns::route::IncomingEvent,
};

/// The most tools that an agent may be allowed.
const ALLOWED_TOOLS_MAX: usize = 200;

impl CommandHandler {
    /// How much a room sees of tools and reasoning.
    pub(super) fn set_detail(
        &self,
        event: &IncomingEvent,
        wanted: Option<Detail>,
    ) -> Result<String, JournalError> {
        let now = |choices: &RoomSettings| Some(choices.detail?.to_string());
        let change = |choices: &mut RoomSettings, detail| choices.detail = Some(detail);
        self.change_setting(event, "Detail", wanted, now, change)
    }

    /// When agents have to ask in a room.
    pub(super) fn set_tool_permission_mode(
        &self,
        event: &IncomingEvent,
        wanted: Option<ToolPermissionMode>,
    ) -> Result<String, JournalError> {
        let now = |choices: &RoomSettings| Some(choices.mode?.to_string());
        let change = |choices: &mut RoomSettings, mode| choices.mode = Some(mode);
        self.change_setting(event, "Mode", wanted, now, change)
    }

    /// Whether agents may only talk in a room.
    pub(super) fn set_chat_only(
        &self,
        event: &IncomingEvent,
        wanted: Option<bool>,
    ) -> Result<String, JournalError> {
        let word = |on: bool| if on { "on" } else { "off" };
        let now = |choices: &RoomSettings| Some(word(choices.chat_only).to_owned());
        let change = |choices: &mut RoomSettings, chosen| choices.chat_only = chosen == word(true);
        self.change_setting(event, "Chat only", wanted.map(word), now, change)
    }

    /// Says what was chosen for a room, or changes it.
    fn change_setting<T: Display>(
        &self,
        event: &IncomingEvent,
        what: &str,
        wanted: Option<T>,
        now: impl FnOnce(&RoomSettings) -> Option<String>,
        change: impl FnOnce(&mut RoomSettings, T),
    ) -> Result<String, JournalError> {
        let room = self.ctx.journal.room(&event.room_id)?;
        if room.is_none_or(|room| matches!(room.kind, RoomKind::Management { .. })) {
            return Ok("Say that in the room that it is for.".to_owned());
        }
        let Some(wanted) = wanted else {
            let choices = self.ctx.journal.room_settings(&event.room_id)?;
            return Ok(match now(&choices) {
                Some(chosen) => format!("{what} here: {}.", code(&chosen)),
                None => format!("{what} here: as the configuration says."),
            });
        };
        let said = format!("{what} here from now on: {}.", code(&wanted.to_string()));
        self.ctx
            .journal
            .change_room_settings(&event.room_id, |choices| change(choices, wanted))?;
        Ok(said)
    }

    /// Lets an agent use a tool unasked.
    pub(super) fn allow_tool(
        &self,
        event: &IncomingEvent,
        ToolAndAgent { tool, agent }: &ToolAndAgent,
    ) -> Result<String, JournalError> {
        self.with_agent_here(event, agent.as_deref(), |id, name| {
            let journal = &self.ctx.journal;
            if journal.allowed_tools(id)?.len() >= ALLOWED_TOOLS_MAX {
                return Ok(format!(
                    "{name} may use {ALLOWED_TOOLS_MAX} tools unasked already, which is the \
                     most. Revoke one first."
                ));
            }
            let allowance = Allowance {
                by: event.sender.clone(),
                at: Millis::now(),
            };
            journal.allow_tools(id, |tools| {
                tools.insert(tool.to_owned(), allowance);
            })?;
            Ok(format!(
                "{name} may use {} from now on without asking.",
                code(tool)
            ))
        })
    }

    /// Lets an agent ask again before it uses a tool.
    pub(super) fn revoke_tool(
        &self,
        event: &IncomingEvent,
        ToolAndAgent { tool, agent }: &ToolAndAgent,
    ) -> Result<String, JournalError> {
        self.with_agent_here(event, agent.as_deref(), |id, name| {
            let mut known = false;
            self.ctx.journal.allow_tools(id, |tools| {
                known = tools.remove(tool).is_some();
            })?;
            Ok(if known {
                format!("{name} asks again before it uses {}.", code(tool))
            } else {
                format!("{name} was not allowed {} anyway.", code(tool))
            })
        })
    }

    /// Lists what an agent may use unasked.
    pub(super) fn list_tools(
        &self,
        event: &IncomingEvent,
        agent: Option<&str>,
    ) -> Result<String, JournalError> {
        self.with_agent_here(event, agent, |id, name| {
            let tools = self.ctx.journal.allowed_tools(id)?;
            if tools.is_empty() {
                return Ok(format!("{name} may use no tool without asking."));
            }
            let mut text = format!("{name} may use without asking:\n");
            for (tool, allowance) in tools {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "* {}, allowed by {}",
                    code(&tool),
                    inline(allowance.by.as_str())
                );
            }
            Ok(text)
        })
    }

    /// Works on the agent that is named, or the only one that this room is for, with its id and its name as an answer shows it.
    fn with_agent_here(
        &self,
        event: &IncomingEvent,
        agent: Option<&str>,
        work: impl FnOnce(&AgentId, &str) -> Result<String, JournalError>,
    ) -> Result<String, JournalError> {
        let named = match agent {
            Some(name) => name.to_owned(),
            None => match self.agent_of_room(event)? {
                Some(id) => id.to_string(),
                None => return Ok("Which agent? Name it after the tool.".to_owned()),
            },
        };
        match self.look_up(&named) {
            Ok(record) => work(&record.id, &inline(&record.name)),
            Err(problem) => Ok(problem),
        }
    }

    fn agent_of_room(&self, event: &IncomingEvent) -> Result<Option<AgentId>, JournalError> {
        let Some(room) = self.ctx.journal.room(&event.room_id)? else {
            return Ok(None);
        };
        if let RoomKind::Home { agent } = room.kind {
            return Ok(Some(agent));
        }
        let mut guests = room.guests.into_keys();
        let first = guests.next();
        Ok(first.filter(|_| guests.next().is_none()))
    }
}
