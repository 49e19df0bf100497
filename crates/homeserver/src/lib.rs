//! A Matrix homeserver for one machine: one process, one `RocksDB`, any Matrix client.
//!
//! It speaks the Client-Server API and the Application-Service API, takes the configuration of Tuwunel, and knows nothing of
//! who uses it. It does not federate. Whoever runs it reads a [`Config`], opens a [`Server`] and serves its router.
//!
//! Its modules stand in layers, and each imports only what stands below it: `architecture` has the order and tests it.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests spawn what they need and ask what time it is"
    )
)]
#![allow(
    clippy::struct_field_names,
    reason = "fields of a section are keys of the configuration, fields of a record are stored"
)]
#![allow(
    unreachable_pub,
    reason = "what other modules of this crate may use is `pub`; what others may use is the list below"
)]

mod accounts;
mod admin;
mod api;
mod appservices;
#[cfg(test)]
mod architecture;
mod blocking;
mod byte_pool;
mod caller;
mod clock;
mod config;
mod error;
mod holder;
mod http;
mod keys;
mod limits;
mod listen;
mod locks;
mod log_throttle;
mod media;
mod operations;
mod outbound;
mod permits;
mod push;
mod rooms;
mod server;
mod services;
mod software;
mod store;
mod stream;
mod sync;
#[cfg(test)]
mod testing;
mod transactions;

pub use admin::name_of as command_name;
pub use appservices::Delivery;
pub use config::{
    AppserviceRegistration, Config, Listen, OneOrMany, ROOM_VERSIONS, Severity, Sources, Warning,
    sample as sample_config,
};
pub use limits::markdown as limits_markdown;
pub use listen::{ListenError, Listeners, connections};
pub use server::Server;
pub use software::{
    Software,
    program::{provide_config_check, provide_log_filter},
};
pub use store::{Store, StoreError, backup};
