//! One type per kind of Letta id.
//!
//! An id comes in through `parse` (or deserializing, which calls it) and is trusted from then on.
//! There is no way from one kind to another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest id that is accepted, in bytes. Letta's own are at most 64.
pub const ID_BYTES_MAX: usize = 200;

/// Why a text is not an id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is empty.
    #[error("the id is empty")]
    Empty,
    /// It is longer than [`ID_BYTES_MAX`], or than its kind's own limit.
    #[error("the id is too long")]
    TooLong,
    /// It does not begin as ids of its kind do.
    #[error("the id does not begin with `{0}`")]
    Prefix(&'static str),
    /// It holds a character that ids of its kind never hold.
    #[error("the id holds a character that is not allowed in it")]
    Character,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks a text and takes it as an id of this kind.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if text.is_empty() {
                    return Err(IdError::Empty);
                }
                if text.len() > ID_BYTES_MAX {
                    return Err(IdError::TooLong);
                }
                let check: fn(&str) -> Result<(), IdError> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Ids go into URLs, keys and logs: printable ASCII without what has a meaning there.
fn plain(text: &str) -> Result<(), IdError> {
    if text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"/?#%\"\\<>".contains(&b))
    {
        Ok(())
    } else {
        Err(IdError::Character)
    }
}

/// Lower case, digits and `-` only, so that `-` can become `_` in a Matrix user's name and back,
/// and two agents never share one.
fn agent(text: &str) -> Result<(), IdError> {
    let rest = text
        .strip_prefix(AgentId::PREFIX)
        .filter(|rest| !rest.is_empty())
        .ok_or(IdError::Prefix(AgentId::PREFIX))?;
    if text.len() > AgentId::BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if rest
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        Ok(())
    } else {
        Err(IdError::Character)
    }
}

id_type! {
    /// A Letta agent, for example `agent-e54fc601-4773-4116-9c5f-0d0f1e3c4a5b` or, on an App
    /// Server, `agent-local-e54fc601-4773-4116-9c5f-0d0f1e3c4a5b`.
    AgentId, agent
}

impl AgentId {
    /// What every agent id begins with.
    pub const PREFIX: &'static str = "agent-";

    /// The longest agent id, in bytes. Tighter than [`ID_BYTES_MAX`]: a Matrix user id has 255
    /// bytes for this, a prefix, and the server's name.
    pub const BYTES_MAX: usize = 100;
}

id_type! {
    /// A conversation of an agent beside its default one, for example `conv-d021…`.
    ConversationId, plain
}
id_type! {
    /// One run of an agent, for example `run-bd27…`.
    RunId, plain
}
id_type! {
    /// A stored message of Letta, for example `message-24a9…`. Not unique: the reasoning, the text
    /// and the tool calls of one step share one.
    MessageId, plain
}
id_type! {
    /// A call of a tool, for example `call_04fc…`. Made by the model's provider.
    ToolCallId, plain
}
