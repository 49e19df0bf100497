//! The appservices that the configuration names. Those of the admin room are in the database.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::config::{
    AppserviceRegistration, ConfigError, Secret,
    appservice::{Namespace, Namespaces, RegistrationFile},
};

/// How the names of the files end that are read in `appservice_dir`.
const EXTENSIONS: [&str; 2] = ["yaml", "yml"];

/// Appservices that are always registered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Appservices {
    /// A folder of registration files as for Synapse. Only `*.yaml` and `*.yml` are read.
    pub appservice_dir: Option<PathBuf>,
    /// `[appservice.ID]` by id.
    pub appservice: BTreeMap<String, Section>,
}

/// `[appservice.ID]`: the same as in a file, but with the namespaces at the top.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct Section {
    /// Where the appservice is. Without it nothing is sent to it.
    pub url: Option<String>,
    /// The token of its requests.
    pub as_token: Secret,
    /// The token of requests to it.
    pub hs_token: Secret,
    /// Its own user; the id if not given.
    pub sender_localpart: Option<String>,
    /// Whether its requests are limited.
    #[serde(default)]
    pub rate_limited: bool,
    /// Networks that it bridges to.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Whether it hears typing and receipts.
    #[serde(default)]
    pub receive_ephemeral: bool,
    /// Whether it makes devices for its users (MSC4190).
    #[serde(default)]
    pub device_management: bool,
    /// Whether it hears of devices and keys (MSC3202).
    #[serde(default)]
    pub msc3202_transaction_extensions: bool,
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

impl Section {
    fn into_file(self, id: String) -> RegistrationFile {
        RegistrationFile {
            url: self.url,
            as_token: self.as_token,
            hs_token: self.hs_token,
            sender_localpart: self.sender_localpart.unwrap_or_else(|| id.clone()),
            rate_limited: Some(self.rate_limited),
            protocols: Some(self.protocols),
            receive_ephemeral: self.receive_ephemeral,
            device_management: self.device_management,
            device_lists: self.msc3202_transaction_extensions,
            namespaces: Namespaces {
                users: self.users,
                aliases: self.aliases,
                rooms: self.rooms,
            },
            id,
        }
    }
}

impl Appservices {
    /// All of them, those of `appservice_dir` first. The folder is read each time. An id or a token
    /// that two of them have is an error, as is one of a file that is refused.
    pub fn registrations(&self) -> Result<Vec<AppserviceRegistration>, ConfigError> {
        let mut all: Vec<AppserviceRegistration> = Vec::new();
        let mut add = |origin: String, read: Result<AppserviceRegistration, _>| {
            let checked = read.and_then(|registration| {
                registration.check_unique_among(&all)?;
                Ok(registration)
            });
            all.push(checked.map_err(|source| ConfigError::Appservice { origin, source })?);
            Ok::<_, ConfigError>(())
        };
        for path in self
            .appservice_dir
            .as_deref()
            .map(files)
            .transpose()?
            .unwrap_or_default()
        {
            let text = fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable {
                path: path.clone(),
                source,
            })?;
            add(
                path.display().to_string(),
                AppserviceRegistration::from_yaml(&text),
            )?;
        }
        for (id, section) in &self.appservice {
            let file = section.clone().into_file(id.clone());
            add(
                format!("[appservice.{id}]"),
                AppserviceRegistration::new(file),
            )?;
        }
        Ok(all)
    }
}

/// The registration files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    let is_registration = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    };
    paths.retain(is_registration);
    paths.sort();
    Ok(paths)
}
