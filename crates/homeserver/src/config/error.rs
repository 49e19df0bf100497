//! What can be wrong with a configuration, in words that name the key, where it stands, and the mend.

use std::{fmt, io, path::PathBuf};

use figment::{
    Metadata,
    error::{Actual, Kind},
};

use super::{appservice::RegistrationError, layer::TOML_EQUALS, sample};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that the configuration is made of, or names, cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file is no TOML.
    #[error("{} is not valid TOML: {message}", .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        message: String,
    },
    /// A file has keys both under `[global]` and before it.
    #[error(
        "{} has keys under `[global]` and the key `{key}` outside of it; move `{key}` under \
         `[global]`, or leave the header out",
        .path.display()
    )]
    Mixed {
        /// The file.
        path: PathBuf,
        /// One key that is outside.
        key: String,
    },
    /// An option is no `key=value` with a TOML value.
    #[error(
        "the option `{key}=…` is not valid TOML: {message}; write it like `port=6167`, and text in \
         quotes, like `server_name='\"example.org\"'`"
    )]
    Override {
        /// What stands before the equals sign. The value may be a secret and is not repeated.
        key: String,
        /// What the parser says.
        message: String,
    },
    /// Keys or values are wrong.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
    /// A file that holds a secret is there, but holds nothing.
    #[error("`{key}`: {} is empty; write the secret into it, or remove the key", .path.display())]
    EmptySecretFile {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The registration of an appservice is refused.
    #[error("cannot register the appservice of {origin}: {source}")]
    Appservice {
        /// The file or section that it stands in.
        origin: String,
        /// Why.
        #[source]
        source: RegistrationError,
    },
}

fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, for example `well_known.client`.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// How to mend it; may be empty.
    pub mend: String,
    /// The file, variable or option that it came from.
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

    /// The same problem, with the place that it comes from.
    pub(super) fn of(self, origin: Option<String>) -> Self {
        Self { origin, ..self }
    }
}

impl From<figment::Error> for Problem {
    fn from(error: figment::Error) -> Self {
        let metadata = error.metadata.as_ref();
        let origin = metadata.map(|metadata| metadata.name.to_string());
        let (mut path, entries) = split(&error.path);
        if let Kind::MissingField(name) = &error.kind {
            path.push(name.as_ref());
            let key = path.join(".");
            let mend = set_like(&key, metadata);
            return Self {
                key,
                what: " is missing".to_owned(),
                mend,
                origin,
            };
        }
        let key = path.join(".");
        let what = match &error.kind {
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                format!(
                    "expected {}, got {}",
                    expectation(expected),
                    in_words(actual)
                )
            }
            Kind::Message(message) => message.clone(),
            kind => kind.to_string(),
        };
        let mend = set_like(&key, metadata);
        match entries.first() {
            Some(entry) => Self::value(&key, format_args!("entry {}: {what}", entry + 1), mend),
            None => Self::value(&key, what, mend),
        }
        .of(origin)
    }
}

/// The names of a path, and the numbers in it, which count the entries of lists from 0.
fn split(path: &[String]) -> (Vec<&str>, Vec<usize>) {
    let entries = path.iter().filter_map(|part| part.parse().ok()).collect();
    let names = path
        .iter()
        .map(String::as_str)
        .filter(|part| part.parse::<usize>().is_err());
    (names.collect(), entries)
}

/// A line that would be right, as it is written where the wrong one stands.
fn set_like(key: &str, metadata: Option<&Metadata>) -> String {
    let equals = metadata.and_then(|metadata| metadata.source.as_ref()?.custom());
    match sample::line(key, equals.unwrap_or(TOML_EQUALS)) {
        Some(line) => format!("set it like `{line}`"),
        None => String::new(),
    }
}

/// What serde expected, in words.
fn expectation(expected: &str) -> &str {
    match expected {
        "u16" => "a number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "a string" | "path string" => "text in quotes",
        "a boolean" => "true or false",
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
