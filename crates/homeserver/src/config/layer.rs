//! The sources of values: files, the block in another configuration, options.

use std::{fs, path::Path};

use figment::value::{Dict, Value};
use settings::Layer;

use super::ConfigError;

/// The header under which Tuwunel keeps all keys.
const GLOBAL: &str = "global";

/// What stands between a key and its value in TOML.
pub(super) const TOML_EQUALS: &str = " = ";

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

/// A `tuwunel.toml`, with its keys under `[global]` or without a header.
pub(super) fn of_file(path: &Path) -> Result<Layer, ConfigError> {
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
        return Ok(with_paths_in(toml_layer(origin, &table), folder));
    };
    if let Some(key) = table.keys().next() {
        return Err(ConfigError::Mixed {
            path: path.to_owned(),
            key: key.clone(),
        });
    }
    Ok(with_paths_in(toml_layer(origin, &global), folder))
}

/// Lets relative paths begin in a folder: that of the file they stand in.
pub(super) fn with_paths_in(mut layer: Layer, folder: &Path) -> Layer {
    for key in PATH_KEYS {
        if let Some(Value::String(_, path)) = layer.value_mut(key) {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
    layer
}

/// The block of the keys in a configuration file of another program. A key without a value is
/// not set, as a commented one.
pub(super) fn from_block(block: &serde_json::Map<String, serde_json::Value>) -> Layer {
    let mut block = serde_json::Value::Object(block.clone());
    drop_nulls(&mut block);
    Layer::new(
        "the section `homeserver` of the configuration",
        dict(&block),
    )
}

/// An option `key=value` with a value in TOML, the key of a section as `section.key`.
pub(super) fn of_option(option: &str) -> Result<Layer, ConfigError> {
    let key = option.split('=').next().unwrap_or_default().trim();
    let table: toml::Table = toml::from_str(option).map_err(|error| ConfigError::Override {
        key: key.to_owned(),
        message: error.message().to_owned(),
    })?;
    Ok(toml_layer(format!("the option `-O {key}=…`"), &table))
}

/// A layer whose values are written in TOML.
pub(super) fn toml_layer(origin: String, values: &impl serde::Serialize) -> Layer {
    Layer::new(origin, dict(values)).written_with(TOML_EQUALS)
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
