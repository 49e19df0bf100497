//! The configuration of the homeserver: Tuwunel's keys, checked before anything starts.
//!
//! Whoever has a `tuwunel.toml` can start with it. The same keys can stand in the `homeserver:`
//! block of another program's file, come as `TUWUNEL_*` from the environment, or as `-O key=value`.
//! What wins, from the weakest: built-in defaults, files in their order, the block, the environment,
//! the options.
//!
//! A [`Config`] that was loaded is complete and fits together. An error names the key, where it
//! stands and how to fix it; no message shows a secret. A key of Tuwunel that has no effect here
//! is a [`Warning`], and so is a key that nobody knows, unless `error_on_unknown_config_opts`.
//!
//! Keys: <https://tuwunel.chat/configuration.html>.

use std::path::PathBuf;

use figment::Figment;
use ruma::OwnedServerName;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod addresses;
pub mod appservice;
mod check;
mod env;
mod error;
mod ignored;
mod keys;
mod layer;
mod patterns;
pub mod sample;
mod secret_file;
mod sections;
#[cfg(test)]
mod tests;
mod units;
mod warning;

pub use appservice::{AppserviceRegistration, RegistrationError};
pub use error::ConfigError;
pub use sample::sample;
pub use sections::{
    Admin, Appservices, Connections, Database, IpSource, Limits, Listen, Logging, Login, Media,
    Outbound, Proxies, ROOM_VERSIONS, Registration, Rooms, Sync, Tls, Turn, WellKnown,
};
pub use settings::{Problem, Secret};
#[cfg(test)]
pub use units::Bytes;
pub use units::{Mode, OneOrMany};
pub use warning::{Severity, Warning};

use settings::Layer;

/// Where the values come from, from the weakest.
///
/// Has no `Debug`: all of it may hold secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// Files like `tuwunel.toml`, with `[global]` or without a header. Later ones win.
    pub files: Vec<PathBuf>,
    /// A block with the same keys, out of the configuration of the program around the server.
    pub inline: Option<serde_json::Map<String, serde_json::Value>>,
    /// Where relative paths of the block begin: the folder of that configuration.
    pub inline_folder: PathBuf,
    /// The environment. Variables that do not begin with `TUWUNEL_`, or with the older
    /// `CONDUWUIT_` and `CONDUIT_`, are passed over.
    pub env: Vec<(String, String)>,
    /// Options `key=value` with a value in TOML, so texts are in quotes. Later ones win.
    pub overrides: Vec<String>,
}

impl Sources {
    /// Whether any of them says something about this key.
    pub fn sets(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.layers()?.iter().any(|layer| layer.has(key)))
    }

    /// The sources as layers, from the weakest.
    fn layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        for path in &self.files {
            layers.push(layer::of_file(path)?);
        }
        let inline = self.inline.as_ref().map(layer::from_block);
        layers.extend(inline.map(|layer| layer::with_paths_in(layer, &self.inline_folder)));
        layers.extend(env::layers(&self.env));
        for option in &self.overrides {
            layers.push(layer::of_option(option)?);
        }
        Ok(layers)
    }
}

/// Everything that an admin decides, by theme. Serializing it, as `show-config` does, gives the
/// keys as they are written in a file, with every secret hidden.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// What stands behind the colon of user ids. It cannot change once there is a database.
    pub server_name: OwnedServerName,
    /// Whether a key that nobody knows keeps the server from starting.
    pub error_on_unknown_config_opts: bool,
    /// Where the server listens.
    #[serde(flatten)]
    pub listen: Listen,
    /// Whom the server believes about the address of a client.
    #[serde(flatten)]
    pub proxies: Proxies,
    /// How much a peer can hold open.
    #[serde(flatten)]
    pub connections: Connections,
    /// Where everything is kept.
    #[serde(flatten)]
    pub database: Database,
    /// Who can make an account.
    #[serde(flatten)]
    pub registration: Registration,
    /// How people log in.
    #[serde(flatten)]
    pub login: Login,
    /// Which rooms can be made.
    #[serde(flatten)]
    pub rooms: Rooms,
    /// How long `/sync` waits.
    #[serde(flatten)]
    pub sync: Sync,
    /// Limits of files.
    #[serde(flatten)]
    pub media: Media,
    /// Limits for each user.
    #[serde(flatten)]
    pub limits: Limits,
    /// Whom the server itself asks.
    #[serde(flatten)]
    pub outbound: Outbound,
    /// The relay for calls.
    #[serde(flatten)]
    pub turn: Turn,
    /// The admin room.
    #[serde(flatten)]
    pub admin: Admin,
    /// The appservices that are always registered.
    #[serde(flatten)]
    pub appservices: Appservices,
    /// The log.
    #[serde(flatten)]
    pub logging: Logging,
    /// What `/.well-known/matrix/…` answers.
    pub well_known: WellKnown,
}

/// The keys that belong to no theme.
#[derive(Deserialize)]
struct General {
    server_name: OwnedServerName,
    #[serde(default)]
    error_on_unknown_config_opts: bool,
}

/// The keys that are a section in the file, too, and are read with it around them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Nested {
    well_known: WellKnown,
}

impl Config {
    /// The defaults, for a server of this name.
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            error_on_unknown_config_opts: false,
            listen: Listen::default(),
            proxies: Proxies::default(),
            connections: Connections::default(),
            database: Database::default(),
            registration: Registration::default(),
            login: Login::default(),
            rooms: Rooms::default(),
            sync: Sync::default(),
            media: Media::default(),
            limits: Limits::default(),
            outbound: Outbound::default(),
            turn: Turn::default(),
            admin: Admin::default(),
            appservices: Appservices::default(),
            logging: Logging::default(),
            well_known: WellKnown::default(),
        }
    }

    /// Reads and checks all sources. An error tells the first wrong value of each theme; the
    /// warnings are for the log, each once, the loud ones first.
    ///
    /// Files that the keys name are read later, by `Registration::tokens`, `Turn::secret` and
    /// `Appservices::registrations`.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<Warning>), ConfigError> {
        let layers = sources.layers()?;
        let figment = layers.into_iter().fold(Figment::new(), Figment::merge);
        let mut problems = Vec::new();
        let config = Self::extract(&figment, &mut problems);
        let origin = |key: &str| figment.find_metadata(key).map(|data| data.name.to_string());
        let values = figment.extract().unwrap_or_default();
        let mut findings = keys::check_keys(&values, origin);
        let strict = config
            .as_ref()
            .is_some_and(|config| config.error_on_unknown_config_opts);
        if strict {
            problems.append(&mut findings.unknown);
        }
        let config = match config {
            Some(config) if problems.is_empty() => config,
            _ => return Err(ConfigError::Invalid(problems)),
        };
        let misfits = check::check(&config).into_iter().map(|problem| {
            let origin = origin(&problem.key);
            problem.of(origin)
        });
        let misfits: Vec<_> = misfits.collect();
        if !misfits.is_empty() {
            return Err(ConfigError::Invalid(misfits));
        }
        let unknown = findings.unknown.iter().map(|problem| Warning {
            severity: Severity::Loud,
            keys: Vec::new(),
            text: problem.to_string(),
        });
        Ok((config, unknown.chain(findings.warnings).collect()))
    }

    /// Whether a key means something: to this server, or to Tuwunel.
    pub fn is_known_key(key: &str) -> bool {
        keys::is_known(key)
    }

    /// All themes; nothing if there is no server name to go with them.
    fn extract(figment: &Figment, problems: &mut Vec<Problem>) -> Option<Self> {
        let general: Option<General> = read(figment, problems);
        let listen = read_or_default(figment, problems);
        let proxies = read_or_default(figment, problems);
        let connections = read_or_default(figment, problems);
        let database = read_or_default(figment, problems);
        let registration = read_or_default(figment, problems);
        let login = read_or_default(figment, problems);
        let rooms = read_or_default(figment, problems);
        let sync = read_or_default(figment, problems);
        let media = read_or_default(figment, problems);
        let limits = read_or_default(figment, problems);
        let outbound = read_or_default(figment, problems);
        let turn = read_or_default(figment, problems);
        let admin = read_or_default(figment, problems);
        let appservices = read_or_default(figment, problems);
        let logging = read_or_default(figment, problems);
        let Nested { well_known } = read_or_default(figment, problems);
        let General {
            server_name,
            error_on_unknown_config_opts,
        } = general?;
        Some(Self {
            server_name,
            error_on_unknown_config_opts,
            listen,
            proxies,
            connections,
            database,
            registration,
            login,
            rooms,
            sync,
            media,
            limits,
            outbound,
            turn,
            admin,
            appservices,
            logging,
            well_known,
        })
    }
}

/// One theme of the merged values, which passes over the keys of the others.
fn read<T: DeserializeOwned>(figment: &Figment, problems: &mut Vec<Problem>) -> Option<T> {
    let errors = match figment.extract() {
        Ok(theme) => return Some(theme),
        Err(errors) => errors,
    };
    problems.extend(errors.into_iter().map(|error| error::problem(&error)));
    None
}

/// A theme that is wrong is told of, and stands in for as long as it takes to find what else is.
fn read_or_default<T: DeserializeOwned + Default>(
    figment: &Figment,
    problems: &mut Vec<Problem>,
) -> T {
    read(figment, problems).unwrap_or_default()
}
