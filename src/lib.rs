//! Puts every Letta agent into Matrix as a person of its own.
pub mod agents;
pub mod appservice;
pub mod commands { pub fn has_prefix(t: &str) -> bool { t.starts_with("!letta") } }
pub mod config;
pub mod identity;
pub mod journal;
pub mod matrix;
pub mod outbox;
pub mod time;
pub mod turns;
pub mod workers;
