//! Which agents come to Matrix: by id, by name, by tag.

use std::{fmt, str::FromStr};

use globset::{Glob, GlobMatcher};
use letta_client::{Agent, AgentId};
use serde::{Deserialize, Serialize};

const TAG: &str = "tag:";

/// Why a text selects no agents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It is empty.
    #[error("expected an agent id, a name or `tag:…`, got an empty text")]
    Empty,
    /// It is not a pattern.
    #[error("`{text}` is not a pattern: {reason}")]
    Glob {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// One entry of `letta.include` or `letta.exclude`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Id(AgentId),
    Name(GlobMatcher),
    Tag(GlobMatcher),
}

impl Selector {
    /// Whether it means this agent.
    pub fn matches(&self, agent: &Agent) -> bool {
        match &self.kind {
            Kind::Id(id) => *id == agent.id,
            Kind::Name(pattern) => pattern.is_match(&agent.name),
            Kind::Tag(pattern) => agent.tags.iter().any(|tag| pattern.is_match(tag)),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let glob = |pattern: &str| {
            let glob = Glob::new(pattern).map_err(|error| SelectorError::Glob {
                text: text.to_owned(),
                reason: error.kind().to_string(),
            })?;
            Ok(glob.compile_matcher())
        };
        let kind = match (text.trim(), text.strip_prefix(TAG)) {
            ("" | "tag:", _) => return Err(SelectorError::Empty),
            (_, Some(tag)) => Kind::Tag(glob(tag)?),
            // An agent may be called `agent-smith`, which is an id in its form only: a name pattern
            // without wildcards would miss the id, so what can be an id is one.
            (_, None) => match AgentId::parse(text) {
                Ok(id) => Kind::Id(id),
                Err(_) => Kind::Name(glob(text)?),
            },
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.text
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Letta;

    fn agent(id: &str, name: &str, tags: &[&str]) -> Agent {
        Agent {
            id: AgentId::parse(id).unwrap(),
            name: name.to_owned(),
            description: None,
            tags: tags.iter().map(ToString::to_string).collect(),
            model: None,
        }
    }

    #[test]
    fn agents_are_chosen_by_id_name_and_tag() {
        let choose = |include: &[&str], exclude: &[&str], agent: &Agent| {
            let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            Letta {
                include: parse(include),
                exclude: parse(exclude),
                ..Letta::default()
            }
            .selects(agent)
        };
        let meridian = agent("agent-1", "Meridian", &["team-red"]);
        assert!(choose(&[], &[], &meridian));
        assert!(choose(&["agent-1"], &[], &meridian));
        assert!(choose(&["Mer*"], &[], &meridian));
        assert!(choose(&["tag:team-*"], &[], &meridian));
        assert!(!choose(&["agent-2", "Mer", "tag:blue"], &[], &meridian));
        assert!(!choose(&[], &["tag:team-red"], &meridian));
        assert!(!choose(&["agent-1"], &["Meridian"], &meridian));
    }

    #[test]
    fn a_broken_pattern_names_itself() {
        let wrong = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        insta::assert_snapshot!(wrong("a[b"), @"`a[b` is not a pattern: unclosed character class; missing ']'");
        insta::assert_snapshot!(wrong("tag:"), @"expected an agent id, a name or `tag:…`, got an empty text");
    }
}
