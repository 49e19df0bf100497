//! Application services: programs that act as many users and are told what happens.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/>

use std::sync::{Arc, PoisonError, RwLock};

use regex::{Regex, RegexBuilder};
use ruma::{OwnedUserId, RoomAliasId, ServerName, UserId, api::appservice::Registration};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

pub mod record;

/// A registered application service.
#[derive(Debug)]
pub struct Appservice {
    registration: Registration,
    users: Vec<(Regex, bool)>,
    aliases: Vec<(Regex, bool)>,
}

impl Appservice {
    /// Reads the namespaces of a registration.
    pub fn new(registration: Registration) -> Result<Self> {
        let compiled = |namespace: &ruma::api::appservice::Namespace| {
            let regex = RegexBuilder::new(&namespace.regex)
                .case_insensitive(true)
                .build();
            let regex = regex.map_err(|error| {
                Error::invalid(format!("a namespace is no regular expression: {error}"))
            })?;
            Ok((regex, namespace.exclusive))
        };
        let (users, aliases) = (
            registration.namespaces.users.iter(),
            registration.namespaces.aliases.iter(),
        );
        Ok(Self {
            users: users.map(compiled).collect::<Result<_>>()?,
            aliases: aliases.map(compiled).collect::<Result<_>>()?,
            registration,
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.registration.id
    }

    /// Its own user.
    pub fn sender(&self, server: &ServerName) -> Result<OwnedUserId> {
        UserId::parse(format!("@{}:{server}", self.registration.sender_localpart))
            .map_err(|error| Error::invalid(format!("sender_localpart is no local part: {error}")))
    }

    /// Whether the user is in one of its namespaces.
    pub fn may_act_as(&self, user: &UserId, server: &ServerName) -> bool {
        user.server_name() == server
            && self
                .users
                .iter()
                .any(|(regex, _)| regex.is_match(user.as_str()))
    }
}

/// All application services. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Appservices {
    all: Arc<RwLock<Vec<Arc<Appservice>>>>,
}

impl Appservices {
    /// All application services, in the order of their registration.
    pub fn all(&self) -> Vec<Arc<Appservice>> {
        self.all
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether another application service than `except` has this alias for itself alone.
    pub fn exclusive_alias(&self, alias: &RoomAliasId, except: Option<&Appservice>) -> bool {
        self.all().iter().any(|other| {
            except.is_none_or(|except| except.id() != other.id())
                && other
                    .aliases
                    .iter()
                    .any(|(regex, exclusive)| *exclusive && regex.is_match(alias.as_str()))
        })
    }

    /// The application service with this `as_token`.
    pub fn by_token(&self, token: &str) -> Option<Arc<Appservice>> {
        let matches = |appservice: &Arc<Appservice>| {
            bool::from(
                appservice
                    .registration
                    .as_token
                    .as_bytes()
                    .ct_eq(token.as_bytes()),
            )
        };
        self.all().into_iter().find(matches)
    }
}
