//! What a client learns: `/sync`, sliding sync, and what they carry besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

pub mod account_data;
pub mod echo;
pub mod filter;
pub mod lazy;
pub mod presence;
pub mod receipts;
pub mod record;
pub mod room;
pub mod serial;
pub mod sliding;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod typing;
pub mod v3;
pub mod waiting;
