//! The relay for calls that clients are told of.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Secret, secret_file, units::seconds};

/// How long credentials for the relay are good: one day.
const DEFAULT_TURN_TTL: Duration = Duration::from_hours(24);

/// A TURN server, such as coturn. There is none without `turn_uris`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Where it is, for example `turn:turn.example.org?transport=udp`.
    pub turn_uris: Vec<String>,
    /// The secret that the relay shares with us, from which each user's credentials are made.
    pub turn_secret: Option<Secret>,
    /// The file that holds it; wins over `turn_secret`.
    pub turn_secret_file: Option<PathBuf>,
    /// One user name for everybody, for relays without a secret.
    pub turn_username: Option<String>,
    /// Its password.
    pub turn_password: Option<Secret>,
    /// How long credentials are good, in seconds.
    #[serde(with = "seconds")]
    pub turn_ttl: Duration,
    /// Whether guests are told, too.
    pub turn_allow_guests: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            turn_uris: Vec::new(),
            turn_secret: None,
            turn_secret_file: None,
            turn_username: None,
            turn_password: None,
            turn_ttl: DEFAULT_TURN_TTL,
            turn_allow_guests: false,
        }
    }
}

impl Turn {
    /// The secret that the relay shares with us. The file is read each time, and has to hold one.
    pub fn secret(&self) -> Result<Option<Secret>, ConfigError> {
        match &self.turn_secret_file {
            Some(path) => {
                let text = secret_file::read("turn_secret_file", path)?;
                Ok(Some(Secret::new(text.trim())))
            }
            None => Ok(self.turn_secret.clone()),
        }
    }
}
