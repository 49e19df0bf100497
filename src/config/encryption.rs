//! Whether agents take part in encrypted rooms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::Secret;

/// Agents in encrypted rooms. The homeserver must support it: the embedded one does, docs/encryption.md says what others need.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Encryption {
    /// Whether agents read and write in encrypted rooms.
    pub allow: bool,
    /// What the agents' keys are encrypted with in the journal: 32 bytes in base64, which `init` makes. Whoever has it and the journal
    /// can read all that agents can read; without it their keys are lost. Nothing is encrypted while there is none.
    #[serde(with = "settings::secret::in_file_if_any")]
    #[schemars(with = "Option<Secret>")]
    pub pickle_key: Option<Secret>,
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            allow: true,
            pickle_key: None,
        }
    }
}
