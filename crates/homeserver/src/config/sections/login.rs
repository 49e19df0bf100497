//! How people log in, and how long their tokens live.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::seconds;

/// How long an access token lives beside a refresh token: 7 days.
const DEFAULT_ACCESS_TOKEN_TTL: Duration = Duration::from_hours(7 * 24);

/// Logging in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// Whether a password logs in. Without it only appservices and tokens do.
    pub login_with_password: bool,
    /// How long an access token lives, in seconds, if the client can refresh it. Access tokens of
    /// other clients live until they log out.
    #[serde(with = "seconds")]
    pub access_token_ttl: Duration,
    /// How long an unused refresh token lives, in seconds; see [`Login::refresh_token_life`].
    #[serde(with = "seconds")]
    pub refresh_token_ttl: Duration,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            login_with_password: true,
            access_token_ttl: DEFAULT_ACCESS_TOKEN_TTL,
            refresh_token_ttl: Duration::ZERO,
        }
    }
}

impl Login {
    /// How long an unused refresh token lives; nothing if for ever, which is written as 0.
    pub fn refresh_token_life(&self) -> Option<Duration> {
        (!self.refresh_token_ttl.is_zero()).then_some(self.refresh_token_ttl)
    }
}
