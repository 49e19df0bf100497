//! What a client learns: `/sync`, sliding sync, and what they carry besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

pub mod echo;
pub mod fields;
pub mod filter;
pub mod lazy;
pub mod presence;
pub mod room;
pub mod sliding;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod v3;

pub use crate::store::records::sync as record;
