//! Uploaded files and their thumbnails.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

pub mod record;
