//! What can be wrong with a configuration, in words that name the key and how to fix it.

use std::{io, path::PathBuf};

use figment::error::Kind;
use serde_json::Value;
use settings::{Problem, describe, expected, join, nearest, quoted};

use super::{Config, schema};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; {}", .path.display(), fix_of(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file is no YAML, or not a map of sections.
    #[error("{} is not valid YAML: {message}", .path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        message: String,
    },
    /// Keys or values are wrong.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
}

/// How to get at a file that cannot be read.
fn fix_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make it with `init`, or name it with `-c`",
        io::ErrorKind::PermissionDenied => {
            "let the user that runs the bridge read it, or name another file with `-c`"
        }
        io::ErrorKind::InvalidData => {
            "it is no text in UTF-8: restore it, or name another file with `-c`"
        }
        _ => "name a file that can be read with `-c`",
    }
}

/// A key that does not exist.
pub(super) fn unknown_key(path: &[String], known: &[&str]) -> Problem {
    let name = path.last().map(String::as_str).unwrap_or_default();
    let fix = match (nearest(name, known), schema::paths_to(name).first()) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, Some(elsewhere)) => format!("did you mean `{elsewhere}`?"),
        (None, None) => format!("there are {}", quoted(known)),
    };
    Problem::key(&path.join("."), " is not a key", fix)
}

/// The problem that figment found.
pub(super) fn problem(error: &figment::Error) -> Problem {
    let metadata = error.metadata.as_ref();
    let origin = metadata.map(|metadata| metadata.name.to_string());
    let mut path = error.path.clone();
    if let Kind::UnknownField(name, known) = &error.kind {
        if path.last() != Some(name) {
            path.push(name.clone());
        }
        return unknown_key(&path, known).of(origin);
    }
    let node = schema::at(path.iter().map(String::as_str));
    let is_secret = node.is_some_and(schema::Node::is_secret);
    let what = describe(&error.kind, is_secret, |name| match name {
        "u16" => "a number from 1 to 65535",
        name => expected(name),
    });
    let fix = match (is_secret, example(&path)) {
        (true, _) => format!(
            "put it in quotes: `{}: \"…\"`",
            path.last().map_or("", |k| k)
        ),
        (false, Some(example)) => format!("set it like `{example}`"),
        (false, None) => String::new(),
    };
    Problem::value(&path.join("."), what, fix).of(origin)
}

/// A line that would be right, from the defaults.
fn example(path: &[String]) -> Option<String> {
    let defaults = serde_json::to_value(Config::default()).ok()?;
    let value = path
        .iter()
        .try_fold(&defaults, |value, key| value.get(key))?;
    let name = path.last()?;
    match value {
        Value::Object(_) | Value::Null => None,
        Value::String(text) => Some(format!("{name}: {text}")),
        value => Some(format!("{name}: {value}")),
    }
}
