//! What a configuration says that the server does not do, for the start of the log.

use std::fmt;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody will miss it: a knob of a part that this server does not have.
    Quiet,
    /// Somebody counts on it: a protection, a way to log in, a place for data, or a misspelling.
    Loud,
}

/// Keys that have no effect, and what that means. Each group of keys is told of once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// The keys, in order; empty if it is about a key that is not there.
    pub keys: Vec<String>,
    /// A sentence for the admin.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.keys.iter().enumerate() {
            write!(f, "{}`{key}`", if position == 0 { "" } else { ", " })?;
        }
        let colon = if self.keys.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.text)
    }
}
