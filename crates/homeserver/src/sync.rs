//! What a client learns: `/sync`, sliding sync, and what they carry besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

pub mod record;
pub mod sliding;
