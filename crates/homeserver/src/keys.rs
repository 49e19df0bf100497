//! Keys of devices and users for end-to-end encryption, and the messages between devices.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption>

pub mod record;
