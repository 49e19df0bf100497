//! How long `/sync` waits, and whether people see each other's presence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::milliseconds;

/// What the client hears of others, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Sync {
    /// Whether the server keeps and tells presence.
    pub allow_local_presence: bool,
    /// The shortest wait of a `/sync` that waits at all, in milliseconds.
    #[serde(with = "milliseconds")]
    pub client_sync_timeout_min: Duration,
    /// The wait of a `/sync` that does not name one, in milliseconds. The specification has none; Tuwunel waits 30 seconds.
    #[serde(with = "milliseconds")]
    pub client_sync_timeout_default: Duration,
    /// The longest wait of a `/sync`, in milliseconds.
    #[serde(with = "milliseconds")]
    pub client_sync_timeout_max: Duration,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            allow_local_presence: true,
            client_sync_timeout_min: Duration::from_secs(5),
            client_sync_timeout_default: Duration::ZERO,
            client_sync_timeout_max: Duration::from_secs(90),
        }
    }
}

impl Sync {
    /// How long to wait if the client asks for `asked`. To ask for nothing to be waited for, as
    /// clients do at their start, is always granted.
    pub fn wait(&self, asked: Option<Duration>) -> Duration {
        match asked {
            None => self.client_sync_timeout_default,
            Some(Duration::ZERO) => Duration::ZERO,
            // `clamp` would panic where the limits cross; a loaded configuration has them in order.
            Some(asked) => asked
                .max(self.client_sync_timeout_min)
                .min(self.client_sync_timeout_max),
        }
    }
}
