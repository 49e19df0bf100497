//! Who is notified of what: push rules, unread counts, pushers.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

pub mod record;
