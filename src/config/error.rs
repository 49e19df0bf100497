//! What can be wrong with a configuration, in words that name the key and the mend.

use std::{fmt, io, path::PathBuf};

use figment::error::{Actual, Kind};
use serde_json::Value;

use super::{Config, schema};

/// How alike two words must be for one to be a misspelling of the other, of 1.
const LIKENESS: f64 = 0.8;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; make it with `init`, or name it with `-c`", .path.display())]
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

fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, for example `appservice.port`; empty if it is about all of it.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// How to mend it.
    pub mend: String,
    /// The file or the environment variable that it came from.
    pub origin: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`{}", self.key, self.what)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        match &self.origin {
            Some(origin) => write!(f, " (in {origin})"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// A problem of the value of `key`.
    pub(super) fn value(key: &str, what: impl fmt::Display, mend: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            what: format!(": {what}"),
            mend: mend.into(),
            origin: None,
        }
    }

    /// A key that does not exist.
    pub(super) fn unknown_key(path: &[String], known: &[&str]) -> Self {
        let name = path.last().map(String::as_str).unwrap_or_default();
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .filter(|(likeness, _)| *likeness >= LIKENESS);
        let elsewhere = schema::paths_to(name);
        let mend = match (nearest, elsewhere.first()) {
            (Some((_, nearest)), _) => format!("did you mean `{nearest}`?"),
            (None, Some(elsewhere)) => format!("did you mean `{elsewhere}`?"),
            (None, None) => format!("there are {}", quoted(known)),
        };
        Self {
            key: path.join("."),
            what: " is not a key".to_owned(),
            mend,
            origin: None,
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl From<figment::Error> for Problem {
    fn from(error: figment::Error) -> Self {
        let origin = error
            .metadata
            .as_ref()
            .map(|metadata| metadata.name.to_string());
        let mut path = error.path.clone();
        if let Kind::UnknownField(name, known) = &error.kind {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            return Self {
                origin,
                ..Self::unknown_key(&path, known)
            };
        }
        let node = schema::at(path.iter().map(String::as_str));
        let secret = node.is_some_and(schema::Node::is_secret);
        let got = |actual: &Actual| {
            if secret {
                "something else".to_owned()
            } else {
                in_words(actual)
            }
        };
        let what = match &error.kind {
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                format!("expected {}, got {}", expectation(expected), got(actual))
            }
            Kind::UnknownVariant(name, known) => {
                format!(
                    "expected {}, got {name:?}",
                    quoted(known).replace(", ", " or ")
                )
            }
            Kind::Message(message) => message.clone(),
            kind => kind.to_string(),
        };
        let key = path.join(".");
        let mend = match (secret, example(&path)) {
            (true, _) => format!(
                "put it in quotes: `{}: \"…\"`",
                path.last().map_or("", |k| k)
            ),
            (false, Some(example)) => format!("set it like `{example}`"),
            (false, None) => String::new(),
        };
        Self {
            origin,
            ..Self::value(&key, what, mend)
        }
    }
}

/// What serde expected, in words.
fn expectation(expected: &str) -> &str {
    match expected {
        "u16" => "a number from 1 to 65535",
        "a string" => "text",
        "a boolean" => "true or false",
        "a duration" => "a time like 500ms, 30s, 2h or 7d",
        "a sequence" => "a list",
        "a map" => "keys and values",
        section if section.starts_with("struct ") => "a section with keys of its own",
        other => other,
    }
}

/// What stood there, in words.
fn in_words(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Unit | Actual::Option => "nothing".to_owned(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a section".to_owned(),
        other => other.to_string(),
    }
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
