//! Stand-in.
mod actions;
pub mod alarm;
mod clerk;
mod invitations;
use crate::config::Level;
pub use clerk::{Clerk, ClerkDesk};
use letta_client::AgentId;
use ruma::OwnedUserId;
pub enum Command {
    Help {
        topic: Option<String>,
    },
    Version,
    Status,
    Ping,
    Agents {
        filter: Option<String>,
    },
    Agent {
        name: String,
    },
    Invite {
        agent: String,
        user: Option<OwnedUserId>,
    },
    StartChat {
        agent: String,
    },
    Sync {
        accept_removals: bool,
    },
    Stop,
}
impl Command {
    pub fn name(&self) -> &'static str {
        ""
    }
    pub fn level(&self) -> Level {
        Level::Talk
    }
}
pub enum Parsed {
    NotACommand,
    Command(Command),
    Problem(String),
}
pub fn parse(_t: &str, _m: bool) -> Parsed {
    Parsed::Command(Command::Version)
}
pub fn help(_t: Option<&str>, _l: Level) -> String {
    String::new()
}
pub fn has_prefix(t: &str) -> bool {
    t.starts_with("!letta")
}
pub fn is_stale(_a: u64, _b: u64) -> bool {
    false
}
pub enum Lookup {
    One(AgentId),
    Many(Vec<String>),
    None { suggestions: Vec<String> },
}
pub fn find_agent(_q: &str, _c: &[(AgentId, String)]) -> Lookup {
    Lookup::None {
        suggestions: vec![],
    }
}
