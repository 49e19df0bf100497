//! Limits that can be switched off. Their figures are in [`crate::limits`].

use serde::{Deserialize, Serialize};

/// Limits for each user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Whether users who write faster than [`crate::limits::RATES`] are asked to wait. A key of this server's own: without it only
    /// benches and tests are better off.
    pub rate_limits: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rate_limits: true }
    }
}
