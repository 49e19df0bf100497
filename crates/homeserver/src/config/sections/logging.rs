//! What the server tells about its work.

use serde::{Deserialize, Serialize};

/// The log. An application that sets up its own log need not read this.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// A level, or directives of `tracing_subscriber::EnvFilter`.
    pub log: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
        }
    }
}
