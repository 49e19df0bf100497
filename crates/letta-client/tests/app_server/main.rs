//! The App Server backend against the real App Server, with a scripted model behind it.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a broken assumption should stop the test at once"
)]

mod breaks;
mod faults;
mod model;
mod relay;
mod server;
mod talk;
