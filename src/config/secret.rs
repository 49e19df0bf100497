//! Text that never leaves: no log, no error and no `Debug` shows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// What stands in a token's place until one is made. The wording is that of mautrix bridges.
const PLACEHOLDER: &str = "This value is generated when generating the registration";

/// A token, a key or a password.
///
/// Serializing shows it, because the configuration and the registration are files that hold it;
/// serialize one only into a file of mode 0600.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("writeOnly" = true))]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What stands in its place until one is made.
    pub fn placeholder() -> Self {
        Self::new(PLACEHOLDER)
    }

    /// Whether it is still the placeholder, or empty.
    pub fn is_missing(&self) -> bool {
        self.0.trim().is_empty() || self.0 == PLACEHOLDER
    }

    /// The text itself, for the one place that sends or writes it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the secret, in a time that does not tell how much of it is.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_never_shown() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter"));
        assert!(!secret.matches(""));
        assert_eq!(format!("{:?}", Some(&secret)), "Some(***)");
        assert!(Secret::placeholder().is_missing());
        assert!(Secret::new(" ").is_missing());
    }
}
