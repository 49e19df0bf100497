//! Lists of regular expressions that forbid names.
//!
//! They are unanchored, as in Tuwunel: a plain word forbids every name that holds it.

use regex::RegexSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Regular expressions of which any may match.
#[derive(Clone, Debug)]
pub struct Patterns(RegexSet);

impl Patterns {
    /// Whether one of them matches in `text`. An empty list matches nothing.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Default for Patterns {
    fn default() -> Self {
        Self(RegexSet::empty())
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.patterns())
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let patterns = Vec::<String>::deserialize(deserializer)?;
        RegexSet::new(patterns).map(Self).map_err(|error| {
            de::Error::custom(format_args!(
                "is no regular expression: {}",
                regex_error_summary(&error)
            ))
        })
    }
}

/// The last line of a parser's drawing, which says in words what is wrong.
pub(super) fn regex_error_summary(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
