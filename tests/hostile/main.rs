//! Hostile peers and a hostile machine: the real program among clients that hold open what they can, without descriptors, without room
//! on its disk, and beside other users of the same machine.
//!
//! What is asserted is counted (descriptors, connections, what was acknowledged), never timed.
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

mod connections;
mod disk;
mod files;
mod journal;
mod support;
