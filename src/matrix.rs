//! The homeserver as the bridge calls it, and what the bridge says there.

pub mod content;
pub mod render;
