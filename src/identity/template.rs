//! The username template: what stands before an agent's id in the name of its ghost.

use std::{fmt, str::FromStr};

use letta_client::AgentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stands for the part of an agent's id that differs.
const PLACEHOLDER: &str = "{id}";
/// The same in the templates of mautrix bridges.
const PLACEHOLDER_MAUTRIX: &str = "{{.}}";

/// The shortest and the longest prefix, in bytes. With less, the bridge would claim everybody whose
/// name begins with one letter.
const PREFIX_BYTES: std::ops::RangeInclusive<usize> = 2..=32;

/// Why a text is not a username template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The placeholder is missing, doubled, or not the end.
    #[error("must end in `{PLACEHOLDER}`, once; for example `agent_{PLACEHOLDER}`")]
    Placeholder,
    /// Too many people could have such a name.
    #[error(
        "needs {} to {} characters before `{PLACEHOLDER}`, or it would claim users who are no \
         agents; for example `agent_{PLACEHOLDER}`",
        PREFIX_BYTES.start(),
        PREFIX_BYTES.end()
    )]
    Prefix,
    /// It holds what a Matrix user's name cannot hold.
    #[error(
        "may hold a-z, 0-9 and `._=-/` before `{PLACEHOLDER}`; for example `agent_{PLACEHOLDER}`"
    )]
    Character,
}

/// `agent_{id}`: a fixed beginning, then the agent's id without its own `agent-`, `-` as `_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct UsernameTemplate {
    prefix: String,
}

impl UsernameTemplate {
    /// What every ghost's name begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The localpart of the ghost of `agent`, and of its room's alias.
    pub(super) fn localpart(&self, agent: &AgentId) -> String {
        let id = agent.as_str();
        let rest = id.strip_prefix(AgentId::PREFIX).unwrap_or(id);
        format!("{}{}", self.prefix, rest.replace('-', "_"))
    }

    /// The agent with this localpart.
    pub(super) fn parse_localpart(&self, localpart: &str) -> Option<AgentId> {
        let rest = localpart
            .strip_prefix(&self.prefix)
            .filter(|rest| !rest.contains('-'))?;
        AgentId::parse(format!("{}{}", AgentId::PREFIX, rest.replace('_', "-"))).ok()
    }
}

impl Default for UsernameTemplate {
    fn default() -> Self {
        Self {
            prefix: "agent_".to_owned(),
        }
    }
}

impl FromStr for UsernameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let prefix = text
            .strip_suffix(PLACEHOLDER)
            .or_else(|| text.strip_suffix(PLACEHOLDER_MAUTRIX))
            .filter(|prefix| !prefix.contains(['{', '}']))
            .ok_or(TemplateError::Placeholder)?;
        if !PREFIX_BYTES.contains(&prefix.len()) {
            return Err(TemplateError::Prefix);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._=-/".contains(&b);
        if !prefix.bytes().all(allowed) {
            return Err(TemplateError::Character);
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }
}

impl TryFrom<String> for UsernameTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<UsernameTemplate> for String {
    fn from(template: UsernameTemplate) -> Self {
        template.to_string()
    }
}

impl fmt::Display for UsernameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACEHOLDER}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_placeholder_are_one() {
        for text in ["letta_{id}", "letta_{{.}}"] {
            assert_eq!(
                text.parse::<UsernameTemplate>().unwrap().to_string(),
                "letta_{id}"
            );
        }
    }

    #[test]
    fn what_would_claim_everybody_is_refused() {
        for (text, why) in [
            ("agent_", TemplateError::Placeholder),
            ("{id}_agent", TemplateError::Placeholder),
            ("agent_{id}{id}", TemplateError::Placeholder),
            ("agent_{name}", TemplateError::Placeholder),
            ("{id}", TemplateError::Prefix),
            ("a{id}", TemplateError::Prefix),
            (".*{id}", TemplateError::Character),
            ("Agent_{id}", TemplateError::Character),
        ] {
            assert_eq!(text.parse::<UsernameTemplate>().unwrap_err(), why, "{text}");
        }
    }
}
