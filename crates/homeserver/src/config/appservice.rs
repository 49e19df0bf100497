//! The registration of an appservice: who it is, with which tokens, and whose names are its own.
//!
//! One parser for files in `appservice_dir`, for `[appservice.ID]` and for the admin command
//! `appservices register`, so that all three accept and refuse the same. It is as strict as
//! Tuwunel's: `url` may be `null` but not missing, `namespaces` may be empty but not missing, and
//! keys that nobody knows are passed over.
//!
//! Regular expressions are unanchored; those of users and aliases do not see case, those of rooms
//! do. Spec: <https://spec.matrix.org/v1.19/application-service-api/#registration>.

use regex::{RegexSet, RegexSetBuilder};
use ruma::{RoomAliasId, RoomId, UserId};
use serde::{Deserialize, Serialize, Serializer};

use super::{Secret, patterns};

/// Why a registration is refused. The texts are Tuwunel's, where admins search for them.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// It is no YAML, or a field is missing or of the wrong type.
    #[error("{0}")]
    Yaml(#[from] serde_yaml::Error),
    /// `url` is not one that can be asked.
    #[error("url {0:?} does not begin with http:// or https://")]
    Url(String),
    /// A namespace is no regular expression, or has parts that Rust's expressions do not have.
    #[error("the regex {regex:?} of namespaces.{kind} is refused: {message}")]
    Regex {
        /// `users`, `aliases` or `rooms`.
        kind: &'static str,
        /// The expression.
        regex: String,
        /// What is wrong with it.
        message: String,
    },
    /// Another appservice has this id.
    #[error("Duplicate id: {0}")]
    DuplicateId(String),
    /// The appservice of this id has the same `as_token`. The token itself is not shown.
    #[error("Duplicate as_token: {0}")]
    DuplicateToken(String),
}

/// A set of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Whether nobody else can use these names.
    pub exclusive: bool,
    /// An unanchored regular expression that the whole id is searched with.
    pub regex: String,
}

/// The names that an appservice cares for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Users that it speaks for.
    #[serde(default)]
    pub users: Vec<Namespace>,
    /// Aliases that it answers for.
    #[serde(default)]
    pub aliases: Vec<Namespace>,
    /// Rooms that it hears of.
    #[serde(default)]
    pub rooms: Vec<Namespace>,
}

/// What stands in a registration file.
///
/// ruma's type of the same purpose knows neither MSC4190 nor MSC3202, and shows its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationFile {
    /// What tells appservices apart.
    pub id: String,
    /// Where it is; nothing is sent to it without. Has to be written, if only as `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub url: Option<String>,
    /// The token of its requests.
    #[serde(serialize_with = "exposed")]
    pub as_token: Secret,
    /// The token of requests to it.
    #[serde(serialize_with = "exposed")]
    pub hs_token: Secret,
    /// Its own user.
    pub sender_localpart: String,
    /// The names that it cares for. Has to be written, if only as `{}`.
    pub namespaces: Namespaces,
    /// Whether its requests are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limited: Option<bool>,
    /// Networks that it bridges to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<String>>,
    /// Whether it hears typing and receipts (MSC2409).
    #[serde(default)]
    pub receive_ephemeral: bool,
    /// Whether it makes devices for its users (MSC4190).
    #[serde(rename = "io.element.msc4190", alias = "device_management", default)]
    pub device_management: bool,
    /// Whether it hears of devices and keys (MSC3202).
    #[serde(rename = "org.matrix.msc3202", default)]
    pub device_lists: bool,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// A registration that was checked, ready to be asked whom it is about.
#[derive(Clone, Debug)]
pub struct AppserviceRegistration {
    file: RegistrationFile,
    users: Names,
    aliases: Names,
    rooms: Names,
}

impl AppserviceRegistration {
    /// Checks a registration.
    pub fn new(file: RegistrationFile) -> Result<Self, RegistrationError> {
        if let Some(url) = file.url.as_deref().filter(|url| !url.is_empty())
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(RegistrationError::Url(url.to_owned()));
        }
        Ok(Self {
            users: Names::new("users", &file.namespaces.users, true)?,
            aliases: Names::new("aliases", &file.namespaces.aliases, true)?,
            rooms: Names::new("rooms", &file.namespaces.rooms, false)?,
            file,
        })
    }

    /// Reads a registration file, or the code block of `appservices register`.
    pub fn from_yaml(text: &str) -> Result<Self, RegistrationError> {
        Self::new(serde_yaml::from_str(text)?)
    }

    /// The registration as a file that [`Self::from_yaml`] reads, tokens included.
    pub fn to_yaml(&self) -> Result<String, RegistrationError> {
        Ok(serde_yaml::to_string(&self.file)?)
    }

    /// Fails if one of `others` has the same id, or the same `as_token`.
    pub fn check_unique_among<'a>(
        &self,
        others: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), RegistrationError> {
        for other in others {
            if other.id() == self.id() {
                return Err(RegistrationError::DuplicateId(self.id().to_owned()));
            }
            if other.file.as_token == self.file.as_token {
                return Err(RegistrationError::DuplicateToken(other.id().to_owned()));
            }
        }
        Ok(())
    }

    /// What tells appservices apart.
    pub fn id(&self) -> &str {
        &self.file.id
    }

    /// Where it is; nothing is sent to it without.
    pub fn url(&self) -> Option<&str> {
        self.file.url.as_deref().filter(|url| !url.is_empty())
    }

    /// All that stands in the file.
    pub fn file(&self) -> &RegistrationFile {
        &self.file
    }

    /// Whether requests of its users are limited. Not unless it says so, as in Tuwunel.
    pub fn is_rate_limited(&self) -> bool {
        self.file.rate_limited.unwrap_or_default()
    }

    /// The networks that it bridges to.
    pub fn protocols(&self) -> &[String] {
        self.file.protocols.as_deref().unwrap_or_default()
    }

    /// Whether `user`, who is of this server, is its own user.
    pub fn is_sender(&self, user: &UserId) -> bool {
        user.localpart() == self.file.sender_localpart
    }

    /// Whether it may speak for `user`, and hears of them: its own user, or one in its namespace.
    pub fn matches_user(&self, user: &UserId) -> bool {
        self.is_sender(user) || self.users.any.is_match(user.as_str())
    }

    /// Whether nobody else can be `user`.
    pub fn is_exclusive_user(&self, user: &UserId) -> bool {
        self.is_sender(user) || self.users.exclusive.is_match(user.as_str())
    }

    /// Whether it answers for `alias`.
    pub fn matches_alias(&self, alias: &RoomAliasId) -> bool {
        self.aliases.any.is_match(alias.as_str())
    }

    /// Whether nobody else can make `alias`.
    pub fn is_exclusive_alias(&self, alias: &RoomAliasId) -> bool {
        self.aliases.exclusive.is_match(alias.as_str())
    }

    /// Whether it hears of `room` by its id.
    pub fn matches_room(&self, room: &RoomId) -> bool {
        self.rooms.any.is_match(room.as_str())
    }
}

/// The compiled expressions of one kind.
#[derive(Clone, Debug)]
struct Names {
    any: RegexSet,
    exclusive: RegexSet,
}

impl Names {
    fn new(
        kind: &'static str,
        namespaces: &[Namespace],
        ignore_case: bool,
    ) -> Result<Self, RegistrationError> {
        let compile = |regexes: Vec<&str>| {
            RegexSetBuilder::new(regexes)
                .case_insensitive(ignore_case)
                .build()
        };
        // One by one first: the error of a set does not say which of them it is about.
        for Namespace { regex, .. } in namespaces {
            compile(vec![regex]).map_err(|error| RegistrationError::Regex {
                kind,
                regex: regex.clone(),
                message: patterns::regex_error_summary(&error),
            })?;
        }
        let of = |wanted: fn(&Namespace) -> bool| {
            let chosen = namespaces.iter().filter(|namespace| wanted(namespace));
            compile(chosen.map(|namespace| namespace.regex.as_str()).collect()).map_err(|error| {
                RegistrationError::Regex {
                    kind,
                    regex: "all together".to_owned(),
                    message: patterns::regex_error_summary(&error),
                }
            })
        };
        Ok(Self {
            any: of(|_| true)?,
            exclusive: of(|namespace| namespace.exclusive)?,
        })
    }
}
