//! What can be wrong with a configuration, in words that name the key, where it stands, and how to fix it.

use std::fmt;

use figment::error::{Actual, Kind};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, for example `appservice.port`; empty if it is about all of it.
    pub key: String,
    /// What is wrong with it: follows the key as it is written here.
    pub what: String,
    /// How to fix it; may be empty.
    pub fix: String,
    /// The file, variable or option that it came from.
    pub origin: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`{}", self.key, self.what)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        match &self.origin {
            Some(origin) => write!(f, " (in {origin})"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// A problem of the value of `key`.
    pub fn value(key: &str, what: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self::key(key, format_args!(": {what}"), fix)
    }

    /// A problem of `key` itself. `what` follows the key, with a space or a colon of its own.
    pub fn key(key: &str, what: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            what: what.to_string(),
            fix: fix.into(),
            origin: None,
        }
    }

    /// The same problem, with the source that it comes from.
    #[must_use]
    pub fn of(self, origin: Option<String>) -> Self {
        Self { origin, ..self }
    }
}

/// All problems, a line each.
pub fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What figment found wrong with a value. `is_secret`: what stands there is not repeated. `expected` says in words what a type of
/// serde is, see [`expected`].
pub fn describe(kind: &Kind, is_secret: bool, expected: impl Fn(&str) -> &str) -> String {
    match kind {
        Kind::InvalidType(actual, wanted) | Kind::InvalidValue(actual, wanted) => {
            let actual = if is_secret {
                "something else".to_owned()
            } else {
                in_words(actual)
            };
            format!("expected {}, got {actual}", expected(wanted))
        }
        Kind::UnknownVariant(name, known) => {
            let known = super::quoted(known).replace(", ", " or ");
            format!("expected {known}, got {name:?}")
        }
        Kind::Message(message) => message.clone(),
        kind => kind.to_string(),
    }
}

/// What serde expected, in words.
pub fn expected(name: &str) -> &str {
    match name {
        "u16" => "a number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "a string" | "path string" => "text",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_names_key_fix_and_origin() {
        let problem = Problem::value("port", "expected a number", "set it like `port: 1`");
        assert_eq!(
            problem.to_string(),
            "`port`: expected a number; set it like `port: 1`"
        );
        let problem = Problem::key("prot", " is not a key", "").of(Some("a.yaml".to_owned()));
        assert_eq!(problem.to_string(), "`prot` is not a key (in a.yaml)");
    }

    #[test]
    fn secret_is_not_repeated() {
        let kind = Kind::InvalidType(Actual::Unsigned(12345), "a string".to_owned());
        assert_eq!(describe(&kind, false, expected), "expected text, got 12345");
        assert_eq!(
            describe(&kind, true, expected),
            "expected text, got something else"
        );
    }
}
