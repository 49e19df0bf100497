//! Who can make an account, and what a new account begins with.

use std::path::PathBuf;

use ruma::OwnedRoomOrAliasId;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Secret, patterns::Patterns, secret_file};

/// Making accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// Whether people can make accounts themselves.
    pub allow_registration: bool,
    /// What they have to know for it.
    pub registration_token: Option<Secret>,
    /// A file with more such tokens, separated by white space.
    pub registration_token_file: Option<PathBuf>,
    /// Whether they can do without knowing anything.
    pub yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse: bool,
    /// With what scripts make accounts at `/_synapse/admin/v1/register`, which is closed without it.
    pub registration_shared_secret: Option<Secret>,
    /// Whether clients can make accounts for guests.
    pub allow_guest_registration: bool,
    /// What stands behind the display name of a new account; empty for nothing.
    pub new_user_displayname_suffix: String,
    /// The public rooms that a new account is put into.
    pub auto_join_rooms: Vec<OwnedRoomOrAliasId>,
    /// Regular expressions of localparts that nobody can take.
    pub forbidden_usernames: Patterns,
}

impl Registration {
    /// Whether the configuration names a token. Tokens that an admin issued are not counted.
    pub fn has_token(&self) -> bool {
        self.registration_token.is_some() || self.registration_token_file.is_some()
    }

    /// Whether everybody can make an account without knowing anything.
    pub fn is_open(&self) -> bool {
        self.allow_registration
            && self.yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse
            && !self.has_token()
    }

    /// All configured tokens, those of the file included. The file is read each time, so a change
    /// of it counts at once; it is an error if it cannot be read or is empty.
    pub fn tokens(&self) -> Result<Vec<Secret>, ConfigError> {
        let mut tokens: Vec<_> = self.registration_token.clone().into_iter().collect();
        if let Some(path) = &self.registration_token_file {
            let text = secret_file::read("registration_token_file", path)?;
            tokens.extend(text.split_whitespace().map(Secret::new));
        }
        Ok(tokens)
    }

    /// The display name that a new account begins with.
    pub fn first_displayname(&self, localpart: &str) -> String {
        match self.new_user_displayname_suffix.as_str() {
            "" => localpart.to_owned(),
            suffix => format!("{localpart} {suffix}"),
        }
    }
}
