//! The configuration: one YAML file and the environment, checked before anything starts.
//!
//! Keys follow the mautrix bridges, so that an admin finds them where the fingers expect them. The
//! doc comments of the sections are the comments of `config.yaml.example`: both are generated from
//! here, see [`sample`].
//!
//! What wins, from the weakest: built-in defaults, the file, Letta's own `LETTA_BASE_URL` and
//! `LETTA_API_KEY`, `BRIDGE_SECTION__KEY`.
//!
//! A [`Config`] that was loaded is complete and possible; an error names the key, what is wrong
//! with it, and how to fix it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, IdentityError};

mod check;
mod connections;
mod encryption;
mod error;
pub(crate) mod http_url;
mod layers;
pub(crate) mod letta_url;
mod load;
mod permissions;
pub(crate) mod private_file;
mod rooms;
pub mod sample;
mod schema;
mod sections;
mod selector;
mod tools;
mod transcription;
mod turns;

pub use connections::Connections;
pub use encryption::Encryption;
pub use error::ConfigError;
pub use layers::Environment;
pub use letta_client::detect::BackendKind;
pub use permissions::{Level, Permissions, PermissionsError};
pub use rooms::{Invite, Rooms};
pub use sections::{
    Appservice, Bot, Homeserver, HomeserverMode, Journal, Letta, LogFormat, Logging, Space,
};
pub use selector::{Selector, SelectorError};
pub use settings::{Problem, Secret};
pub use tools::Tools;
pub use transcription::Transcription;
pub use turns::{Detail, NoSuchChoice, Reactions, ToolPermissionMode, Turns};

/// Everything that an admin decides.
///
/// Every key can also come from the environment as `BRIDGE_SECTION__KEY`, for example
/// `BRIDGE_APPSERVICE__AS_TOKEN`, or from the file that `BRIDGE_SECTION__KEY_FILE` names. Times are
/// written like `500ms`, `30s`, `2h` or `7d`. Relative paths start at the folder of this file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Matrix homeserver that the agents live on.
    pub homeserver: Homeserver,
    /// The bridge as the homeserver sees it. After a change here, run `registration` again and give
    /// the homeserver the new file.
    pub appservice: Appservice,
    /// Where the agents come from.
    pub letta: Letta,
    /// The space that holds the rooms of all agents.
    pub space: Space,
    /// The rooms of the agents.
    pub rooms: Rooms,
    /// How agents answer.
    pub turns: Turns,
    /// What agents may do in Matrix by tools of their own.
    pub tools: Tools,
    /// Voice messages and other audio as text, by an OpenAI-compatible server.
    pub transcription: Transcription,
    /// Agents in encrypted rooms. The homeserver must support it: the embedded one does, docs/encryption.md says what others need.
    pub encryption: Encryption,
    /// Who may do what. A key is a full user id, a whole server name, or "*" for everybody; the
    /// most exact one counts. Whoever is named by no key is blocked. The values, each with all that
    /// those before it may do:
    ///
    /// * `block`: nothing, they are not heard
    /// * `talk`: talk to agents in rooms that they share
    /// * `user`: use commands; if named by full id, be invited (`rooms.invite`)
    /// * `admin`: manage the bridge
    pub permissions: Permissions,
    /// The durable record of what was received and what is still to be said.
    pub journal: Journal,
    /// What the bridge tells about its work, on standard error.
    pub logging: Logging,
    /// The folder of the file, in which relative paths begin.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Config {
    /// The names of the bot, the space and all agents under this configuration.
    ///
    /// Never fails for a configuration that was loaded.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        Identity::new(
            &self.homeserver.domain,
            self.appservice.username_template.clone(),
            &self.appservice.bot.username,
            &self.space.alias,
        )
    }

    /// Whether people are invited to every agent's room, not to the space only.
    pub fn invites_to_rooms(&self) -> bool {
        match self.rooms.invite {
            Invite::Rooms => true,
            Invite::Space => false,
            // Without a space there is nowhere to join them from.
            Invite::Auto => self.homeserver.is_embedded() || !self.space.enabled,
        }
    }
}
