//! What can go wrong between the bridge and Letta, and the advice that goes with it.

use std::time::Duration;

use crate::{
    backend::TurnFailure,
    failure::{FailureKind, FailurePolicy},
    id::{ConversationId, RunId},
};

/// A failed call to Letta.
///
/// `Display` never holds what Letta answered in its own words where that may leak a server's
/// inside; the words are in `detail`, for the log.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No connection, or it broke, and everything that could be tried to fix it was tried.
    #[error("cannot reach Letta at {url}")]
    Unreachable {
        /// The server's address, without credentials.
        url: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came for too long.
    #[error("Letta was silent for {}", humantime::format_duration(*.after))]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// Another run is in progress in this conversation.
    #[error("the conversation is busy with another run")]
    Busy {
        /// That run, if the server named it.
        run: Option<RunId>,
    },
    /// A tool call waits for a person's decision, nothing else is accepted before that.
    #[error("the conversation has a pending approval")]
    ApprovalPending,
    /// Nothing waits for this decision: it was decided elsewhere, or given up.
    #[error("no pending approval for this decision")]
    NotPending,
    /// Letta has forgotten that it asked, and nobody has decided: it was killed, or nobody listened
    /// for a while. The same prompts, sent again under the same keys, make it ask again.
    #[error("Letta no longer has the approval request")]
    Forgotten {
        /// Whether this decision may have arrived before that.
        sent: bool,
    },

    /// The conversation cannot go on under its id, but under another one, with all its messages.
    /// Send again there.
    #[error("the conversation goes on as {to}")]
    Moved {
        /// Its id from now on.
        to: ConversationId,
    },
    /// It is not known yet what kind of Letta there is, see [`crate::detected::DetectedBackend`].
    #[error("it is not known yet what kind of Letta is at {url}")]
    Undecided {
        /// The server's address, without credentials.
        url: String,
    },
    /// Something answers, but not as any Letta that is known.
    #[error("what is at {url} answers like no Letta that is known ({said}); set `letta.backend`")]
    Unrecognized {
        /// The server's address, without credentials.
        url: String,
        /// What each question was answered with.
        said: String,
    },
    /// The list of agents is empty where a server that fails says the same.
    #[error(
        "Letta lists no agents, which can mean here that it failed; nobody is taken for removed"
    )]
    EmptyList,
    /// This way to reach Letta cannot do what was asked for.
    #[error("this way to reach Letta cannot {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// Letta was stopped in the middle of this run and goes on without it. The run is cancelled; nothing of it is stored, and
    /// it was not seen to call a tool. The same prompts may be sent again, under other keys: these lead to the dead run.
    #[error("Letta was stopped in the middle of run {run}")]
    RunDied {
        /// The run.
        run: RunId,
    },
    /// Letta itself says that what was asked for does not exist. A proxy before it that says so is
    /// [`BackendError::NotLetta`].
    #[error("Letta does not know {what}")]
    NotFound {
        /// What kind of thing it is.
        missing: MissingResource,
        /// What was asked for.
        what: String,
    },
    /// Something answers with a status, and it is not known that it is Letta: a proxy whose Letta is away, a login page, a
    /// route that this Letta does not have. It says nothing about agents or conversations.
    #[error("something that is not Letta answers in its place, with status {status}")]
    NotLetta {
        /// HTTP status.
        status: u16,
        /// What was said, cut to a bounded length.
        detail: String,
        /// When to come back, if that was said.
        retry_after: Option<Duration>,
    },
    /// The model provider failed, and Letta says so with a status instead of in a stream.
    #[error("the model provider failed: {}", .failure.code)]
    Model {
        /// How.
        failure: TurnFailure,
    },
    /// The key or password was refused.
    #[error("Letta refused our credentials; check `letta.api_key`")]
    Unauthorized,
    /// Too many requests.
    #[error("Letta asks for fewer requests")]
    RateLimited {
        /// When to come back, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The account has used up what it paid for. Waiting does not help.
    #[error("the Letta account has reached a limit: {reason}")]
    QuotaExceeded {
        /// Letta's word for it, such as `not-enough-credits`.
        reason: String,
    },
    /// The server refused this request and will refuse it again.
    #[error("Letta refused the request with status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the server said, cut to a bounded length.
        detail: String,
    },
    /// The server failed.
    #[error("Letta failed with status {status}")]
    ServerError {
        /// HTTP status.
        status: u16,
        /// What the server said, cut to a bounded length.
        detail: String,
        /// When to come back, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The server said something that this client cannot understand, or more than a limit allows.
    #[error("cannot understand Letta's answer: {detail}")]
    Protocol {
        /// What was wrong with it.
        detail: String,
    },
}

/// What Letta says does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingResource {
    /// An agent.
    Agent,
    /// A conversation.
    Conversation,
    /// A run.
    Run,
}

/// What the caller should do about a [`BackendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The same call may succeed soon: try again with backoff.
    Retry,
    /// Somebody else must finish or decide something first: wait, then try again.
    Wait,
    /// This call will never succeed; others may.
    Refuse,
    /// No call will succeed before an admin has mended something.
    Fatal,
}

impl BackendError {
    /// An answer that was received, and does not say what was asked for: nothing is known, and nothing may be concluded from it.
    pub(crate) fn unexpected_answer(detail: impl Into<String>) -> Self {
        Self::NotLetta {
            status: 200,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// What it means when nothing was asked for but to read: what is not understood says nothing about what exists.
    pub(crate) fn into_read_error(self) -> Self {
        match self {
            Self::Protocol { detail } => Self::unexpected_answer(detail),
            error => error,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Unreachable { .. }
            | Self::RunDied { .. }
            | Self::Moved { .. }
            | Self::Undecided { .. }
            | Self::EmptyList
            | Self::Silent { .. }
            | Self::RateLimited { .. }
            | Self::NotLetta { .. }
            | Self::ServerError { .. } => Advice::Retry,
            Self::Model { failure } => match failure.kind.policy() {
                FailurePolicy::Wait => Advice::Retry,
                FailurePolicy::Refuse | FailurePolicy::Forget => Advice::Refuse,
            },
            Self::Busy { .. } | Self::ApprovalPending => Advice::Wait,
            Self::NotPending
            | Self::Forgotten { .. }
            | Self::NotFound { .. }
            | Self::Unsupported { .. }
            | Self::Refused { .. }
            | Self::Protocol { .. } => Advice::Refuse,
            Self::Unauthorized | Self::Unrecognized { .. } | Self::QuotaExceeded { .. } => {
                Advice::Fatal
            }
        }
    }

    /// What it means, in the words that a failure inside a stream has as well.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Undecided { .. }
            | Self::EmptyList => FailureKind::Unreachable { retry_after: None },
            Self::NotLetta { retry_after, .. } => FailureKind::Unreachable {
                retry_after: *retry_after,
            },
            Self::ServerError { retry_after, .. } => FailureKind::Overloaded {
                retry_after: *retry_after,
            },
            Self::RateLimited { retry_after } => FailureKind::RateLimited {
                retry_after: *retry_after,
            },
            Self::Model { failure } => failure.kind.clone(),
            Self::Busy { .. } => FailureKind::Busy,
            Self::ApprovalPending => FailureKind::ApprovalPending,
            Self::NotPending | Self::Forgotten { .. } => FailureKind::NotPending,
            Self::Moved { .. } | Self::RunDied { .. } => FailureKind::Broken,
            Self::NotFound { missing, .. } => match missing {
                MissingResource::Agent => FailureKind::AgentGone,
                MissingResource::Conversation => FailureKind::ConversationGone,
                MissingResource::Run => FailureKind::RunGone,
            },
            Self::Unauthorized => FailureKind::Unauthorized,
            Self::QuotaExceeded { .. } => FailureKind::Credits,
            Self::Unsupported { .. } | Self::Unrecognized { .. } | Self::Protocol { .. } => {
                FailureKind::Refused
            }
            Self::Refused { detail, .. } => FailureKind::of_refusal(detail),
        }
    }

    /// A stable code for people and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "LETTA_UNREACHABLE",
            Self::Silent { .. } => "LETTA_SILENT",
            Self::Busy { .. } => "LETTA_BUSY",
            Self::ApprovalPending => "LETTA_APPROVAL_PENDING",
            Self::NotPending => "LETTA_NOT_PENDING",
            Self::Forgotten { .. } => "LETTA_FORGOTTEN",
            Self::RunDied { .. } => "LETTA_RUN_DIED",
            Self::Moved { .. } => "LETTA_CONVERSATION_MOVED",
            Self::Undecided { .. } => "LETTA_UNDECIDED",
            Self::Unrecognized { .. } => "LETTA_UNRECOGNIZED",
            Self::EmptyList => "LETTA_EMPTY_LIST",
            Self::Unsupported { .. } => "LETTA_UNSUPPORTED",
            Self::NotFound { .. } => "LETTA_NOT_FOUND",
            Self::NotLetta { .. } => "LETTA_UNAVAILABLE",
            Self::Model { .. } => "LETTA_MODEL",
            Self::Unauthorized => "LETTA_UNAUTHORIZED",
            Self::RateLimited { .. } => "LETTA_RATE_LIMITED",
            Self::QuotaExceeded { .. } => "LETTA_QUOTA",
            Self::Refused { .. } => "LETTA_REFUSED",
            Self::ServerError { .. } => "LETTA_ERROR",
            Self::Protocol { .. } => "LETTA_PROTOCOL",
        }
    }
}
