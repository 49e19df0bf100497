//! Fuzz targets: the pure functions that read what strangers write, each with what must hold for any input.
//!
//! A target is one function `check` that takes bytes and panics if its invariant does not hold. `cargo fuzz` calls it from
//! `fuzz_targets`, where a nightly toolchain is; the tests of this crate call the same function with inputs that `proptest` makes of
//! the corpus. Nothing here links the database, so all of it is built in minutes, with any sanitizer.
//!
//! | target | what it reads |
//! |---|---|
//! | [`push_rules`] | push rules as they are set and stored, and an event that meets them |
//! | [`filters`] | filters of `/sync`, and an event that they let through or not |
//! | [`sliding_sync`] | requests of sliding sync |
//! | [`sse`] | Letta's and OpenAI's event streams |
//! | [`app_server_frames`] | what the App Server says on its socket |
//! | [`transaction`] | what a homeserver pushes to the bridge, up to what each event means |
//! | [`markdown`] | what agents write, as rooms show it |
//! | [`commands`] | command lines: `!letta` of the bridge, `!admin` of the homeserver |
#![allow(
    clippy::missing_panics_doc,
    reason = "a target panics when it finds something: that is what it is for"
)]
#![expect(
    clippy::expect_used,
    reason = "a panic is how a target says that something does not hold"
)]

pub mod app_server_frames;
pub mod commands;
pub mod filters;
pub mod markdown;
pub mod push_rules;
pub mod sliding_sync;
pub mod sse;
pub mod transaction;

mod glob;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its module, its program and the folder of its corpus.
    pub name: &'static str,
    /// Panics if the invariant does not hold.
    pub check: fn(&[u8]),
    /// An input around a text, where a stranger would put it.
    pub wrap: fn(&str) -> Vec<u8>,
    /// Pieces of which its inputs are made, so that they get past the first `if`.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    push_rules::TARGET,
    filters::TARGET,
    sliding_sync::TARGET,
    sse::TARGET,
    app_server_frames::TARGET,
    transaction::TARGET,
    markdown::TARGET,
    commands::TARGET,
];
