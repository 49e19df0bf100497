//! Turns against a scripted Letta, on a clock of their own: what is asked, what it costs, and what the room hears.

mod approval_property;
mod approvers;
mod braked;
mod files;
mod lab;
mod letta;
mod old_turns;
mod property;
mod sequences;
mod silence;
mod silent;
mod stories;
mod told;
