//! A Matrix homeserver for one machine: one process, one `RocksDB`, any Matrix client.
//!
//! It speaks the Client-Server API and the Application-Service API, takes the configuration of Tuwunel, and knows nothing of
//! who uses it. It does not federate. The way through the house:
//!
//! - [`config`]: Tuwunel's keys, checked.
//! - [`blocking`]: where handlers and followers are polled, so that nothing that reads the database holds up an async worker.
//! - [`store`]: the database, its tables as one typed catalogue; [`stream`]: the one order of everything.
//! - [`http`]: from bytes to typed requests; `api`: the endpoints, one module for each part of the specification.
//! - [`accounts`], [`rooms`], [`sync`], [`keys`], [`push`], [`media`], [`appservices`]: what the endpoints do.
//! - [`server`]: the parts, put together; [`listen`]: where they are reached.

pub mod accounts;
pub mod admin;
mod api;
pub mod appservices;
#[cfg(test)]
mod architecture;
pub mod blocking;
pub mod caller;
pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod keys;
pub mod limits;
pub mod listen;
pub mod locks;
pub mod media;
pub mod operations;
mod outbound;
pub mod permits;
pub mod push;
pub mod rooms;
pub mod server;
pub mod services;
pub mod software;
pub mod store;
pub mod stream;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod transactions;

pub use config::Config;
pub use server::Server;
