//! The sections of the configuration. Their doc comments are what an admin reads in the sample.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use letta_client::{Agent, detect::BackendKind};
use ruma::{OwnedMxcUri, OwnedServerName, owned_server_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::Secret;
use url::Url;

use super::{
    connections::Connections, http_url, letta_url, selector::Selector, turns::ToolPermissionMode,
};
use crate::identity::UsernameTemplate;

/// The Matrix homeserver that the agents live on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Homeserver {
    /// `embedded` for the homeserver that the bridge brings along: nothing else is needed. `external`
    /// for one that runs already, at `address`.
    pub mode: HomeserverMode,
    /// Where the bridge reaches the client API of an external homeserver.
    #[serde(with = "http_url")]
    #[schemars(with = "String")]
    pub address: Url,
    /// The IP addresses that the embedded homeserver listens on; only this machine's own if there is none. Tuwunel's key
    /// for it, `address`, is read as this one if it holds IP addresses.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<IpAddr>,
    /// The server name: what stands after the colon in user ids.
    #[schemars(with = "String")]
    pub domain: OwnedServerName,
    /// A `tuwunel.toml` that the embedded homeserver reads as it is. Every key of Tuwunel can also
    /// stand here, beside `mode`, and in the environment as `TUWUNEL_KEY`.
    pub tuwunel_config: Option<PathBuf>,
    /// Keys of Tuwunel, for the embedded homeserver.
    #[serde(flatten)]
    #[schemars(skip)]
    pub tuwunel: serde_json::Map<String, serde_json::Value>,
}

impl Default for Homeserver {
    fn default() -> Self {
        Self {
            mode: HomeserverMode::default(),
            address: http_url::literal("http://localhost:8008"),
            listen: Vec::new(),
            domain: owned_server_name!("example.com"),
            tuwunel_config: None,
            tuwunel: serde_json::Map::new(),
        }
    }
}

impl Homeserver {
    /// Whether the bridge brings its own homeserver.
    pub fn is_embedded(&self) -> bool {
        self.mode == HomeserverMode::Embedded
    }
}

/// Whose homeserver it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum HomeserverMode {
    /// The bridge brings it along.
    Embedded,
    /// It runs already.
    External,
}

impl Default for HomeserverMode {
    fn default() -> Self {
        if cfg!(feature = "embedded") {
            Self::Embedded
        } else {
            Self::External
        }
    }
}

/// The bridge as the homeserver sees it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Appservice {
    /// Where the homeserver reaches the bridge. In containers this is the name of the bridge's
    /// container, for example `http://letta-bridge:29400`.
    #[serde(with = "http_url")]
    #[schemars(with = "String")]
    pub address: Url,
    /// The interface to listen on. `0.0.0.0` inside a container, `127.0.0.1` on the same machine.
    pub hostname: String,
    /// The port to listen on.
    pub port: u16,
    /// What peers can hold open there. Beyond it the oldest connections that wait for a request are closed first.
    pub connections: Connections,
    /// The id of the registration. Must differ from that of every other bridge of the homeserver.
    pub id: String,
    /// The bridge's own user, which owns the space and answers commands.
    pub bot: Bot,
    /// The names of the agents' users. `{id}` becomes the agent's id without its `agent-`, with `_`
    /// for `-`.
    pub username_template: UsernameTemplate,
    /// The secret with which the bridge speaks to the homeserver. `registration` makes it.
    #[serde(with = "settings::secret::in_file")]
    #[schemars(with = "Secret")]
    pub as_token: Secret,
    /// The secret with which the homeserver speaks to the bridge. `registration` makes it.
    #[serde(with = "settings::secret::in_file")]
    #[schemars(with = "Secret")]
    pub hs_token: Secret,
}

impl Default for Appservice {
    fn default() -> Self {
        Self {
            address: http_url::literal("http://127.0.0.1:29400"),
            hostname: "127.0.0.1".to_owned(),
            port: 29400,
            connections: Connections::default(),
            id: "letta".to_owned(),
            bot: Bot::default(),
            username_template: UsernameTemplate::default(),
            as_token: Secret::placeholder(),
            hs_token: Secret::placeholder(),
        }
    }
}

/// The bridge's own user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bot {
    /// The part of its user id between `@` and the colon.
    pub username: String,
    /// What people see.
    pub displayname: String,
    /// Its picture, as an `mxc://` URI.
    #[schemars(with = "Option<String>")]
    pub avatar: Option<OwnedMxcUri>,
}

impl Default for Bot {
    fn default() -> Self {
        Self {
            username: "letta".to_owned(),
            displayname: "Letta".to_owned(),
            avatar: None,
        }
    }
}

/// Where the agents come from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Letta {
    /// How to speak to Letta. With null the bridge finds it out by asking what is at `url`. See
    /// docs/letta.md for what each can do, and for its risks.
    ///
    /// * `rest` for Letta Cloud and for V1 servers.
    /// * `app-server` for the App Server: what one hosts oneself today.
    /// * `openai` for OpenAI-compatible routes: text only, and tools run unasked.
    /// * `demo` for a few scripted agents that the bridge brings along. The demo is not a model.
    pub backend: Option<BackendKind>,
    /// Where Letta is. `LETTA_BASE_URL` is honored. Letta Cloud is `https://api.letta.com`; an
    /// address that begins with `ws://` or `wss://` is an App Server.
    #[serde(with = "letta_url")]
    #[schemars(with = "String")]
    pub url: Url,
    /// The key for Letta Cloud, the password of a V1 server, or the token of an App Server.
    /// `LETTA_API_KEY` is honored.
    #[serde(with = "settings::secret::in_file_if_any")]
    #[schemars(with = "Option<Secret>")]
    pub api_key: Option<Secret>,
    /// When agents have to ask before they use a tool, where Letta lets its client choose (the App
    /// Server): `standard` before shell commands and edits, `accept-edits` not before edits of files,
    /// `strict` before everything, `unrestricted` never. `!letta mode` changes it in one room.
    pub mode: ToolPermissionMode,
    /// How often to look for new, renamed and removed agents. When Letta is slow, the bridge looks
    /// less often by itself.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub poll_interval: Duration,
    /// Only these agents come to Matrix; all if empty. Agent ids, names with `*` for any text, or
    /// tags like `tag:team-*`.
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Selector>,
    /// These agents never come to Matrix. Wins over `include`.
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<Selector>,
}

impl Letta {
    /// Whether `include` and `exclude` let this agent into Matrix.
    pub fn selects(&self, agent: &Agent) -> bool {
        let named_by = |selectors: &[Selector]| selectors.iter().any(|one| one.matches(agent));
        (self.include.is_empty() || named_by(&self.include)) && !named_by(&self.exclude)
    }
}

impl Default for Letta {
    fn default() -> Self {
        Self {
            backend: None,
            url: http_url::literal("http://localhost:8283"),
            api_key: None,
            mode: ToolPermissionMode::Standard,
            poll_interval: Duration::from_millis(500),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// The space that holds the rooms of all agents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Space {
    /// Whether to have one.
    pub enabled: bool,
    /// What people see.
    pub name: String,
    /// The part of its alias between `#` and the colon.
    pub alias: String,
    /// A line about it.
    pub topic: String,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            enabled: true,
            name: "Letta Agents".to_owned(),
            alias: "letta_agents".to_owned(),
            topic: "Every agent of Letta, each in a room of its own".to_owned(),
        }
    }
}

/// The durable record of what was received and what is still to be said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// The folder of the record. One bridge at a time may use it.
    pub path: PathBuf,
    /// How long to remember which events were received, so that one that comes again is not
    /// answered again.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_events: Duration,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            path: PathBuf::from("journal"),
            keep_events: Duration::from_hours(7 * 24),
        }
    }
}

/// What the bridge tells about its work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// `error`, `warn`, `info`, `debug` or `trace`, also by part: `info,matrix_appservice_letta=debug`.
    pub level: String,
    /// `pretty` for people, `json` for machines.
    pub format: LogFormat,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Pretty,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}
