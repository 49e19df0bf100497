//! What can be wrong with a configuration, in words that name the key, where it stands, and how to fix it.

use std::{io, path::PathBuf};

use figment::{Metadata, error::Kind};
use settings::{Problem, describe, expected, join};

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

/// The problem that figment found.
pub(super) fn problem(error: &figment::Error) -> Problem {
    let metadata = error.metadata.as_ref();
    let origin = metadata.map(|metadata| metadata.name.to_string());
    let (mut path, entries) = split(&error.path);
    if let Kind::MissingField(name) = &error.kind {
        path.push(name.as_ref());
        let key = path.join(".");
        return Problem::key(&key, " is missing", set_like(&key, metadata)).of(origin);
    }
    let key = path.join(".");
    let what = describe(&error.kind, false, |name| match name {
        "a string" | "path string" => "text in quotes",
        name => expected(name),
    });
    let fix = set_like(&key, metadata);
    match entries.first() {
        Some(entry) => Problem::value(&key, format_args!("entry {}: {what}", entry + 1), fix),
        None => Problem::value(&key, what, fix),
    }
    .of(origin)
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
