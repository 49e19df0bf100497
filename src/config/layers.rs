//! The environment as a source of configuration.
//!
//! `BRIDGE_SECTION__KEY` sets `section.key`; `BRIDGE_SECTION__KEY_FILE` reads it from a file, as
//! container secrets come. Text stays text (a token of digits is not a number); other values are
//! read as YAML, lists also with commas. Letta's own `LETTA_BASE_URL` and `LETTA_API_KEY` are
//! weaker than any `BRIDGE_` variable. Empty variables count as not set.

use std::{collections::BTreeMap, fs};

use figment::value::Value;
use settings::{Layer, Problem};
use url::Url;

use super::{error::unknown_key, letta_url, schema};

const PREFIX: &str = "BRIDGE_";
const SEPARATOR: &str = "__";
const FILE_SUFFIX: &str = "_FILE";

/// The section that takes every key of Tuwunel, too.
const TUWUNEL_SECTION: &str = "homeserver";

/// Where Letta is, for all of Letta's own programs.
const LETTA_URL: &str = "LETTA_BASE_URL";

/// Letta's own variables, and the keys that they set.
const LETTA: [(&str, [&str; 2]); 2] = [
    (LETTA_URL, ["letta", "url"]),
    ("LETTA_API_KEY", ["letta", "api_key"]),
];

/// The environment variables that a configuration is read with.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Only what may be written into a file: `BRIDGE_` variables that hold their value themselves.
    #[must_use]
    pub fn for_file(&self) -> Self {
        let for_file = |name: &str| name.starts_with(PREFIX) && !name.ends_with(FILE_SUFFIX);
        let variables = self.variables.iter().filter(|(name, _)| for_file(name));
        Self {
            variables: variables
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// Where Letta is, in Letta's own words.
    pub fn letta_url(&self) -> Option<Url> {
        letta_url::parse(self.variables.get(LETTA_URL)?)
    }

    /// What it sets, from the weakest.
    pub(super) fn layers(&self) -> Result<Vec<Layer>, Problem> {
        let letta = LETTA.into_iter().filter_map(|(variable, path)| {
            let value = self.variables.get(variable)?;
            Some(Layer::of_value(
                named(variable),
                &path,
                Value::from(value.as_str()),
            ))
        });
        let mut layers: Vec<_> = letta.collect();
        for (variable, value) in &self.variables {
            if let Some(name) = variable.strip_prefix(PREFIX) {
                layers.extend(layer(variable, name, value)?);
            }
        }
        Ok(layers)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: variables
                .filter(|(_, value)| !value.trim().is_empty())
                .collect(),
        }
    }
}

fn named(variable: &str) -> String {
    format!("the environment variable {variable}")
}

fn path_of(name: &str) -> Vec<String> {
    name.to_lowercase()
        .split(SEPARATOR)
        .map(str::to_owned)
        .collect()
}

fn node_at(path: &[String]) -> Option<schema::Node> {
    schema::at(path.iter().map(String::as_str))
}

/// What one `BRIDGE_` variable sets. Nothing if it is somebody else's, such as `BRIDGE_IMAGE`.
fn layer(variable: &str, name: &str, value: &str) -> Result<Option<Layer>, Problem> {
    let origin = named(variable);
    let path = path_of(name);
    if let Some(node) = node_at(&path) {
        return Ok(Some(Layer::of_value(origin, &path, read(node, value))));
    }
    if let Some(path) = name.strip_suffix(FILE_SUFFIX).map(path_of)
        && let Some(node) = node_at(&path)
    {
        let text = fs::read_to_string(value).map_err(|error| {
            let what = format_args!("cannot read {value}: {error}");
            Problem::value(
                &path.join("."),
                what,
                "name a file that the bridge may read",
            )
            .of(Some(origin.clone()))
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        return Ok(Some(Layer::of_value(origin, &path, read(node, text))));
    }
    if !name.contains(SEPARATOR) {
        return Ok(None);
    }
    // Tuwunel's keys stand beside ours there. Which of them there are, the homeserver knows, as for those of a file.
    if path
        .first()
        .is_some_and(|section| section == TUWUNEL_SECTION)
        && !path.contains(&String::new())
    {
        let value = serde_yaml::from_str(value).unwrap_or_else(|_| Value::from(value));
        return Ok(Some(Layer::of_value(origin, &path, value)));
    }
    let known = path.iter().take(path.len() - 1).map(String::as_str);
    let parent = schema::at(known).unwrap_or_else(schema::root);
    let known: Vec<_> = parent.children().map(|(key, _)| key).collect();
    Err(unknown_key(&path, &known).of(Some(origin)))
}

fn read(node: schema::Node, text: &str) -> Value {
    if node.is_text() {
        return Value::from(text);
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(value @ Value::Array(..)) => value,
        Ok(_) | Err(_) if node.is_list() => {
            Value::from(text.split(',').map(str::trim).collect::<Vec<_>>())
        }
        Ok(value) => value,
        Err(_) => Value::from(text),
    }
}
