//! Sliding sync: what a client asks for, and which rooms its lists show.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

pub mod filter;
pub mod list;
pub mod required;
pub mod sync_request;
