//! Why a tool did not do what it was asked for, in words that tell a model what to do next.

use std::time::Duration;

use ruma::{OwnedRoomId, api::error::ErrorKind};
use strsim::jaro_winkler;

use super::catalogue;
use crate::{journal::JournalError, matrix::MatrixError};

/// How alike a name must be to be offered, from 0 (nothing in common) to 1 (the same).
const LIKENESS_MIN: f64 = 0.8;
/// The longest name of an unknown tool that is repeated, in characters.
const NAME_CHARS_MAX: usize = 64;

/// See the module's documentation.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no such tool.
    #[error("there is no tool called {name:?}{}", did_you_mean(*.similar))]
    Unknown {
        /// Its name, cut.
        name: String,
        /// One that has a name like it.
        similar: Option<&'static str>,
    },
    /// An admin has not allowed it.
    #[error(
        "{tool} is not allowed here; an admin can allow it with `tools.allow` in the configuration"
    )]
    NotAllowed {
        /// The tool.
        tool: &'static str,
    },
    /// The arguments do not fit.
    #[error("{0}")]
    Arguments(String),
    /// The agent acts too often.
    #[error("you act too often; go on in {} seconds", .wait.as_secs().max(1))]
    RateLimited {
        /// How long to wait.
        wait: Duration,
    },
    /// The event is somebody else's.
    #[error(
        "this event was sent by {sender}; you can only edit and redact what you have sent yourself"
    )]
    NotOwnEvent {
        /// Who has sent it.
        sender: String,
    },
    /// The event was not sent by a tool.
    #[error(
        "you can only edit and redact what you have sent by a tool, not answers, approval messages and notices; say it anew"
    )]
    NotSentByTool,
    /// The room is encrypted, and agents do not encrypt.
    #[error(
        "the room {room} is encrypted, and you cannot write to encrypted rooms; tell people in another room"
    )]
    Encrypted {
        /// The room.
        room: OwnedRoomId,
    },
    /// It takes too long.
    #[error(
        "the homeserver did not get done in time; whether it was done is not known, so look first, or call again with the same \
         idempotency_key"
    )]
    TimedOut,
    /// There is no such thing, or the agent may not see it.
    #[error("{what} is not there, or you are not in its room; matrix_rooms lists your rooms")]
    NotFound {
        /// What.
        what: String,
    },
    /// The homeserver does not allow it.
    #[error(
        "the homeserver does not allow that: you may not do this with {what}, or you are not in its room"
    )]
    Forbidden {
        /// With what.
        what: String,
    },
    /// The homeserver refuses it, and would again.
    #[error("the homeserver refuses that ({reason}); trying again does not help")]
    Refused {
        /// Its errcode, or what else it is.
        reason: String,
    },
    /// The homeserver could not do it now.
    #[error(
        "the homeserver could not be reached or has failed; whether it was done is not known, so look first and try again in a minute"
    )]
    Unavailable(#[source] MatrixError),
    /// The bridge has failed.
    #[error("the bridge itself has failed; its log says why, and an admin can read it")]
    Internal(#[from] JournalError),
    /// There is a bug in a tool.
    #[error(
        "this tool has failed because of a bug; the log of the bridge says why, and an admin can read it"
    )]
    Panicked,
}

impl ToolError {
    /// There is no tool of this name.
    pub(super) fn unknown(name: &str) -> Self {
        // Cut before it is compared, which takes as long as the name is times itself.
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let similar = catalogue::list()
            .iter()
            .map(|tool| (jaro_winkler(&name, tool.name), tool.name))
            .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let similar = similar.map(|(_, name)| name);
        Self::Unknown { name, similar }
    }

    /// The homeserver has refused something about `what`.
    pub(super) fn from_matrix(error: MatrixError, what: &str) -> Self {
        match error.kind() {
            Some(ErrorKind::NotFound) => Self::NotFound {
                what: what.to_owned(),
            },
            Some(ErrorKind::Forbidden) => Self::Forbidden {
                what: what.to_owned(),
            },
            Some(ErrorKind::TooLarge) => Self::Arguments("the text is too long".to_owned()),
            Some(ErrorKind::InvalidParam | ErrorKind::BadJson) => {
                Self::Arguments(format!("the homeserver does not take {what}"))
            }
            kind => match &error {
                MatrixError::RateLimited { retry_after } => Self::RateLimited {
                    wait: retry_after.unwrap_or_default(),
                },
                error if error.is_permanent() => Self::Refused {
                    reason: kind
                        .map_or_else(|| error.to_string(), |kind| kind.errcode().to_string()),
                },
                _ => Self::Unavailable(error),
            },
        }
    }

    /// What it is called in the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_tool",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Arguments(_) => "bad_arguments",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotOwnEvent { .. } => "not_own_event",
            Self::NotSentByTool => "not_sent_by_tool",
            Self::Encrypted { .. } => "encrypted_room",
            Self::TimedOut => "timed_out",
            Self::Refused { .. } => "refused",
            Self::Internal(_) => "journal_unavailable",
            Self::Panicked => "panicked",
            Self::NotFound { .. } => "not_found",
            Self::Forbidden { .. } => "forbidden",
            Self::Unavailable(_) => "homeserver_unavailable",
        }
    }
}

fn did_you_mean(similar: Option<&str>) -> String {
    similar
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default()
}
