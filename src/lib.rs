//! Puts every Letta agent into Matrix as a person of its own.
//!
//! The map of the workspace, along the way of a message:
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the command line: run, demo, init, registration, doctor, health |
//! | [`config`] | YAML and environment, checked before anything starts |
//! | [`registration`] | the file that introduces the bridge to the homeserver |
//! | [`identity`] | agents, ghosts and aliases: who is who, a pure function |
//! | [`app`] | the composition root: the only place where concrete parts meet |
//! | [`appservice`] | what the homeserver calls |
//! | [`journal`] | the durable record of what the bridge has promised |
//! | [`turns`] | from an event to an agent's answer |
//! | [`outbox`] | says what must be said until the homeserver has answered |
//! | [`matrix`] | the homeserver as we call it, and what rooms are shown |
//! | [`agents`] | discovered in Letta, set up in Matrix |
//! | [`commands`], [`room_jobs`] | what people ask of the bot, and invitations |
//! | [`workers`], [`time`] | one task per key; the clock |
//!
//! Letta itself is behind [`letta_client::Backend`].

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests spawn what they need and ask what time it is"
    )
)]

pub mod agents;
pub mod app;
pub mod appservice;
#[cfg(test)]
mod architecture;
pub mod cli;
pub mod commands;
pub mod config;
pub mod encryption;
pub mod identity;
pub mod journal;
pub mod matrix;
pub mod outbox;
pub mod registration;
mod room_cache;
pub mod room_jobs;
pub mod time;
pub mod tools;
pub mod transcription;
pub mod turns;
pub mod workers;
