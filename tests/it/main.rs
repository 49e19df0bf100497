//! The test house: a real Synapse, real matrix-nio clients, the real bridge binary and a scripted Letta, all on loopback.
//!
//! A test reads as what a person in the room sees. Nothing here knows the inside of the bridge: it is a process with a
//! command line, three wires to its neighbours, and a log file. `support` holds the house, every other module holds tests.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]
#![allow(
    unreachable_pub,
    reason = "one binary: `pub` says what a module offers to the tests"
)]

mod access;
mod agent_tools;
mod agents;
mod app_server;
mod approval_kills;
mod approvals;
mod backlog;
mod budget;
mod changed_rooms;
mod choices;
mod clients;
mod commands;
mod compatibility;
mod first_minute;
mod harness;
mod invited_agents;
mod journal_crash;
mod logs;
mod mcp;
mod odd_values;
mod pictures;
mod proof;
mod provider;
mod restarts;
mod rights;
mod space_rooms;
mod standalone;
mod support;
mod talk;
mod upgrades;
mod v1;
