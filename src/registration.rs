//! The registration file: what a homeserver must know about the bridge.
//!
//! It is built from the configuration, so the two agree when they are made; [`Registration::differences`]
//! tells in words when they no longer do. Regexes are anchored and the server's name is escaped in
//! them, because some homeservers look for a match anywhere in an id.
//!
//! The file asks for ephemeral events under both the stable and the unstable key: homeservers have
//! read only the one or only the other. Nothing in the bridge depends on getting them.
//!
//! <https://spec.matrix.org/v1.19/application-service-api/#registration>

use std::{fmt, fs, io, path::Path};

use rand::{Rng, distr::Alphanumeric};
use regex::Regex;
use ruma::api::appservice::{self, Namespace, Namespaces, RegistrationInit};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, Secret, http_url, private_file},
    identity::IdentityError,
};

mod differences;

/// How long a token is, in characters of 62 kinds: more than 380 bits.
const TOKEN_CHARS: usize = 64;

/// What a name of an agent holds after the fixed beginning, see [`crate::identity`].
const AGENT_NAME: &str = "[a-z0-9_]+";

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The names in the configuration are impossible.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file cannot be read or written.
    #[error("cannot open {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file is not a registration.
    #[error("{path} is not a registration: {source}; make a new one with `registration`")]
    Yaml {
        /// The file.
        path: String,
        /// What the parser says.
        #[source]
        source: serde_yaml::Error,
    },
    /// A namespace would take users from others.
    #[error("the namespace `{regex}` would claim {user}, who is no agent")]
    TooWide {
        /// The namespace.
        regex: String,
        /// Somebody else who is in it.
        user: String,
    },
}

/// What a homeserver must know about the bridge.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    #[serde(flatten)]
    stable: appservice::Registration,
    #[serde(
        rename = "de.sorunome.msc2409.push_ephemeral",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    push_ephemeral: bool,
    /// Device lists and counts of keys in transactions ([MSC3202](https://github.com/matrix-org/matrix-spec-proposals/pull/3202)).
    #[serde(rename = "org.matrix.msc3202", default)]
    device_changes: bool,
    /// Devices without a login ([MSC4190](https://github.com/matrix-org/matrix-spec-proposals/pull/4190)).
    #[serde(rename = "io.element.msc4190", default)]
    device_management: bool,
}

impl Registration {
    /// The registration that fits this configuration.
    pub fn new(config: &Config) -> Result<Self, RegistrationError> {
        let appservice = &config.appservice;
        let mut stable = appservice::Registration::from(RegistrationInit {
            id: appservice.id.clone(),
            url: Some(http_url::text(&appservice.address).to_owned()),
            as_token: appservice.as_token.expose().to_owned(),
            hs_token: appservice.hs_token.expose().to_owned(),
            sender_localpart: appservice.bot.username.clone(),
            namespaces: namespaces(config)?,
            rate_limited: Some(false),
            protocols: Some(Vec::new()),
        });
        stable.receive_ephemeral = true;
        let registration = Self {
            stable,
            push_ephemeral: true,
            device_changes: true,
            device_management: true,
        };
        registration.refuse_too_wide(config)?;
        Ok(registration)
    }

    /// Reads a registration file.
    pub fn read(path: &Path) -> Result<Self, RegistrationError> {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| RegistrationError::File {
            path: name(),
            source,
        })?;
        serde_yaml::from_str(&text).map_err(|source| RegistrationError::Yaml {
            path: name(),
            source,
        })
    }

    /// Writes the file, readable by its owner only; one that exists keeps its mode.
    pub fn write(&self, path: &Path) -> Result<(), RegistrationError> {
        private_file::write(path, &self.to_yaml()).map_err(|source| RegistrationError::File {
            path: path.display().to_string(),
            source,
        })
    }

    /// The file's text. It holds both tokens.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).unwrap_or_default()
    }

    /// Without the unstable key, which Conduit and conduwuit take for the stable one said twice.
    #[must_use]
    pub fn for_conduit(mut self) -> Self {
        self.push_ephemeral = false;
        self
    }

    /// Its id, which no other bridge of the homeserver may have.
    pub fn id(&self) -> &str {
        &self.stable.id
    }

    /// The secret with which the bridge speaks to the homeserver.
    pub fn as_token(&self) -> Secret {
        Secret::new(&*self.stable.as_token)
    }

    /// The secret with which the homeserver speaks to the bridge.
    pub fn hs_token(&self) -> Secret {
        Secret::new(&*self.stable.hs_token)
    }

    /// A user namespace that is not only ours takes other people's names, and often all their
    /// events, from them.
    fn refuse_too_wide(&self, config: &Config) -> Result<(), RegistrationError> {
        let domain = &config.homeserver.domain;
        let strangers = [format!("@somebody:{domain}"), format!("@a:{domain}")];
        let people = config
            .permissions
            .people()
            .map(|(user, _)| user.to_string());
        for user in strangers.into_iter().chain(people) {
            for namespace in &self.stable.namespaces.users {
                if Regex::new(&namespace.regex).is_ok_and(|regex| regex.is_match(&user)) {
                    return Err(RegistrationError::TooWide {
                        regex: namespace.regex.clone(),
                        user,
                    });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("id", &self.stable.id)
            .finish_non_exhaustive()
    }
}

/// A new token nobody can guess.
pub fn new_token() -> Secret {
    let characters = rand::rng()
        .sample_iter(Alphanumeric)
        .take(TOKEN_CHARS)
        .map(char::from);
    Secret::new(characters.collect::<String>())
}

fn namespaces(config: &Config) -> Result<Namespaces, IdentityError> {
    let identity = config.identity()?;
    let domain = regex::escape(identity.domain().as_str());
    let prefix = regex::escape(identity.template().prefix());
    let bot = regex::escape(identity.bot().localpart());
    let space = regex::escape(identity.space_alias().alias());
    let exclusive = |regex: String| Namespace::new(true, regex);
    let mut namespaces = Namespaces::new();
    namespaces.users = vec![
        exclusive(format!("^@{bot}:{domain}$")),
        exclusive(format!("^@{prefix}{AGENT_NAME}:{domain}$")),
    ];
    namespaces.aliases = vec![
        exclusive(format!("^#{space}:{domain}$")),
        exclusive(format!("^#{prefix}{AGENT_NAME}:{domain}$")),
    ];
    Ok(namespaces)
}

#[cfg(test)]
mod tests;
