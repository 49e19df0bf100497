//! The environment as a source of the configuration.
//!
//! `TUWUNEL_KEY` sets `key`, `TUWUNEL_WELL_KNOWN__CLIENT` sets `client` in `[well_known]`. The
//! prefixes of the servers that Tuwunel grew from are weaker. Values are numbers, `true` and
//! `false`, `[lists]`, and otherwise text; what is a text by its nature stays one, so that a token
//! of digits is not a number. Empty variables count as not set, but where empty means something.

use figment::value::Value;
use settings::Layer;

use super::layer::TOML_EQUALS;

/// What variables begin with, from the weakest.
const PREFIXES: [&str; 3] = ["CONDUIT_", "CONDUWUIT_", "TUWUNEL_"];

/// What stands between the name of a section and a key of it.
const SEPARATOR: &str = "__";

/// Names the file, and is no key.
const CONFIG: &str = "config";

/// Keys whose values are text, whatever they look like.
const TEXTS: [&str; 11] = [
    "server_name",
    "registration_token",
    "registration_shared_secret",
    "emergency_password",
    "turn_secret",
    "turn_username",
    "turn_password",
    "new_user_displayname_suffix",
    "admin_room_tag",
    "log",
    "default_room_version",
];

/// Keys that mean something when they are empty.
const EMPTY_COUNTS: [&str; 2] = ["new_user_displayname_suffix", "admin_room_tag"];

/// What the variables set, from the weakest.
pub(super) fn layers(variables: &[(String, String)]) -> Vec<Layer> {
    let of_prefix = |prefix: &'static str| {
        variables
            .iter()
            .filter_map(move |(name, value)| layer(prefix, name, value))
    };
    PREFIXES.into_iter().flat_map(of_prefix).collect()
}

fn layer(prefix: &str, variable: &str, text: &str) -> Option<Layer> {
    let name = variable.strip_prefix(prefix)?.to_lowercase();
    let path: Vec<_> = name.split(SEPARATOR).collect();
    let counts = !text.trim().is_empty() || EMPTY_COUNTS.contains(&name.as_str());
    if name == CONFIG || !counts || path.contains(&"") {
        return None;
    }
    let value = if TEXTS.contains(&name.as_str()) {
        Value::from(text)
    } else {
        read(text)
    };
    let origin = format!("the environment variable {variable}");
    Some(Layer::of_value(origin, &path, value).written_with(TOML_EQUALS))
}

/// Figment's reading, which is Tuwunel's. It takes every text.
fn read(text: &str) -> Value {
    match text.parse::<Value>() {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
