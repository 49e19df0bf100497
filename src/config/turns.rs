//! How turns are held: what an admin decides about decisions and about what is shown.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How agents answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Turns {
    /// How long a tool that needs a person's decision waits for one before it is denied.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub approval_timeout: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            approval_timeout: Duration::from_mins(10),
        }
    }
}
