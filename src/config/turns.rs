//! How turns are held: what an admin decides about decisions, and about what is shown.

use std::{fmt, str::FromStr, time::Duration};

use letta_client::PermissionMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;

/// How agents answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Turns {
    /// How long a tool that needs a person's decision waits for one before it is denied.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub approval_timeout: Duration,
    /// The level (`permissions`) that somebody needs to approve the tools of a turn that they have set going: `talk`, `user` or
    /// `admin`. Admins approve everything; who asked can always deny.
    pub approve_level: Level,
    /// How much a room sees, folded, of tools and of reasoning: `none`, `brief` for the tools that
    /// were used, `full` for all of it. `!letta detail` changes it in one room.
    pub detail: Detail,
    /// How many answers one person sets going in one room within a minute. What comes beyond that waits, so that a program that
    /// answers every answer does not talk with an agent for ever.
    #[serde(deserialize_with = "at_least_one")]
    pub per_minute: usize,
    /// What becomes of reactions of people to an agent's messages: `next` tells the agent of them in one line with its next prompt,
    /// `ignore` does not.
    pub reactions: Reactions,
    /// What an answer ends in while the agent still writes it; an empty text for nothing. At most 20 characters.
    #[serde(deserialize_with = "short_mark")]
    pub unfinished_mark: String,
}

/// The longest mark of an unfinished answer, in characters: it comes four times in each event.
const MARK_CHARS_MAX: usize = 20;

fn short_mark<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mark = String::deserialize(deserializer)?;
    if mark.chars().count() > MARK_CHARS_MAX {
        return Err(serde::de::Error::custom(
            "this can have at most 20 characters",
        ));
    }
    Ok(mark)
}

/// A number that is not zero: none at all would silence everybody.
fn at_least_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("this has to be at least 1")),
        number => Ok(number),
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            approval_timeout: Duration::from_mins(10),
            approve_level: Level::User,
            detail: Detail::Brief,
            per_minute: 20,
            reactions: Reactions::Next,
            unfinished_mark: " ▍".to_owned(),
        }
    }
}

/// What becomes of reactions to an agent's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reactions {
    /// The agent is not told of them.
    Ignore,
    /// The agent is told of them with its next prompt.
    Next,
}

/// How much is shown of what an agent does beside talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Nothing.
    None,
    /// Which tools it used.
    Brief,
    /// Its reasoning, its tools, and what they returned.
    Full,
}

/// When an agent has to ask before it uses a tool, where Letta lets its client choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToolPermissionMode {
    /// Before shell commands, edits and whatever else changes something.
    #[default]
    Standard,
    /// The same, but not before edits of files.
    AcceptEdits,
    /// Before everything.
    Strict,
    /// Never.
    Unrestricted,
}

impl From<ToolPermissionMode> for PermissionMode {
    fn from(mode: ToolPermissionMode) -> Self {
        match mode {
            ToolPermissionMode::Standard => Self::Standard,
            ToolPermissionMode::AcceptEdits => Self::AcceptEdits,
            ToolPermissionMode::Strict => Self::Strict,
            ToolPermissionMode::Unrestricted => Self::Unrestricted,
        }
    }
}

/// A word that stands for none of the choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is none of the choices")]
pub struct NoSuchChoice;

impl FromStr for Detail {
    type Err = NoSuchChoice;

    fn from_str(word: &str) -> Result<Self, NoSuchChoice> {
        named(&[Self::None, Self::Brief, Self::Full], word)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Brief => "brief",
            Self::Full => "full",
        })
    }
}

impl FromStr for ToolPermissionMode {
    type Err = NoSuchChoice;

    fn from_str(word: &str) -> Result<Self, NoSuchChoice> {
        let all = [
            Self::Standard,
            Self::AcceptEdits,
            Self::Strict,
            Self::Unrestricted,
        ];
        named(&all, word)
    }
}

impl fmt::Display for ToolPermissionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::AcceptEdits => "accept-edits",
            Self::Strict => "strict",
            Self::Unrestricted => "unrestricted",
        })
    }
}

/// The choice of this name, in any case.
fn named<T: Copy + fmt::Display>(all: &[T], word: &str) -> Result<T, NoSuchChoice> {
    let named = |choice: &&T| choice.to_string().eq_ignore_ascii_case(word);
    all.iter().find(named).copied().ok_or(NoSuchChoice)
}
