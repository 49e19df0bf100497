//! Turns against a scripted Letta, on a clock of their own: what is asked, what it costs, and what the room hears.

mod approval_property;
mod approvers;
mod bot_commands;
mod files;
mod lab;
mod letta;
mod notices;
mod old_turns;
mod property;
mod rate_limited;
mod reactions;
mod sequences;
mod stories;
mod unanswered_calls;
mod wait_notices;
