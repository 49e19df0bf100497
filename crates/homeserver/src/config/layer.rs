//! One source of values with its name, so that an error can say where a value stands.

use std::{fs, path::Path};

use figment::{
    Metadata, Profile, Provider, Source,
    value::{Dict, Map, Value},
};

use super::ConfigError;

/// The header under which Tuwunel keeps all keys.
const GLOBAL: &str = "global";

/// What stands between a key and its value in TOML.
pub(super) const TOML_EQUALS: &str = " = ";

/// The same in YAML.
const YAML_EQUALS: &str = ": ";

/// The keys whose values are paths. Relative ones begin in the folder of their file, wherever the program is started; those of the
/// environment and of options in the current folder.
pub(super) const PATH_KEYS: [&str; 8] = [
    "appservice_dir",
    "database_backup_path",
    "database_path",
    "registration_token_file",
    "tls.certs",
    "tls.key",
    "turn_secret_file",
    "unix_socket_path",
];

/// Some values, and where they come from.
#[derive(Clone)]
pub(super) struct Layer {
    origin: String,
    /// What stands between a key and its value there, for the mends of errors.
    equals: &'static str,
    values: Dict,
}

impl Layer {
    /// Values of one origin.
    pub(super) fn new(origin: String, values: Dict) -> Self {
        Self {
            origin,
            equals: TOML_EQUALS,
            values,
        }
    }

    /// A `tuwunel.toml`, with its keys under `[global]` or without a header.
    pub(super) fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|error| ConfigError::Toml {
            path: path.to_owned(),
            message: explain(&error, &text),
        })?;
        let origin = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        let Some(global) = table.remove(GLOBAL) else {
            return Ok(Self::new(origin, dict(&table)).with_paths_in(folder));
        };
        if let Some(key) = table.keys().next() {
            return Err(ConfigError::Mixed {
                path: path.to_owned(),
                key: key.clone(),
            });
        }
        Ok(Self::new(origin, dict(&global)).with_paths_in(folder))
    }

    /// Lets relative paths begin in a folder: that of the file they stand in.
    pub(super) fn with_paths_in(mut self, folder: &Path) -> Self {
        for key in PATH_KEYS {
            if let Some(Value::String(_, path)) = value_of(&mut self.values, key) {
                *path = folder.join(&*path).to_string_lossy().into_owned();
            }
        }
        self
    }

    /// The block of the keys in a configuration file of another program. A key without a value is
    /// not set, as a commented one.
    pub(super) fn inline(block: &serde_json::Map<String, serde_json::Value>) -> Self {
        let mut block = serde_json::Value::Object(block.clone());
        drop_nulls(&mut block);
        let origin = "the section `homeserver` of the configuration".to_owned();
        Self {
            equals: YAML_EQUALS,
            ..Self::new(origin, dict(&block))
        }
    }

    /// Whether it says something about this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// An option `key=value` with a value in TOML, the key of a section as `section.key`.
    pub(super) fn of_option(option: &str) -> Result<Self, ConfigError> {
        let key = option.split('=').next().unwrap_or_default().trim();
        let table: toml::Table = toml::from_str(option).map_err(|error| ConfigError::Override {
            key: key.to_owned(),
            message: error.message().to_owned(),
        })?;
        Ok(Self::new(format!("the option `-O {key}=…`"), dict(&table)))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.origin.clone(), Source::Custom(self.equals.to_owned()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// The value of a key, which may be `section.key`.
fn value_of<'a>(values: &'a mut Dict, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => values.get_mut(key),
        Some((section, key)) => match values.get_mut(section) {
            Some(Value::Dict(_, section)) => value_of(section, key),
            _ => None,
        },
    }
}

/// The values of a map. Every value of TOML and JSON has its like, so none is lost.
fn dict(values: &impl serde::Serialize) -> Dict {
    Value::serialize(values)
        .ok()
        .and_then(Value::into_dict)
        .unwrap_or_default()
}

fn drop_nulls(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

/// The message and the place, without the line itself, which may hold a secret.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        }
        None => error.message().to_owned(),
    }
}
