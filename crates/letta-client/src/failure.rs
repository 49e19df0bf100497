//! What a failure of Letta means, whichever way it came: an HTTP status, an error in a stream that was answered with 200, a
//! frame of the App Server, a record of a run. Pure.
//!
//! Letta forwards what its model provider said, with the provider's status somewhere in the words. So the same kind is known by
//! Letta's own word (`error_type`, `stop_reason`), by the status, and by phrases that providers use; the most specific wins.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;

/// The longest wait that a server may ask for and is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The account at Letta, or at the model provider, has no credits or has used up its quota. Only an admin can change that.
    Credits,
    /// Letta or the model provider asks for fewer requests.
    RateLimited {
        /// When to come back, if it was said; at most [`RETRY_AFTER_MAX`].
        retry_after: Option<Duration>,
    },
    /// Letta or the model provider is up and cannot do it now.
    Overloaded {
        /// When to come back, if it was said; at most [`RETRY_AFTER_MAX`].
        retry_after: Option<Duration>,
    },
    /// Letta cannot be reached, is silent, or something in front of it answers in its place.
    Unreachable {
        /// When to come back, if it was said; at most [`RETRY_AFTER_MAX`].
        retry_after: Option<Duration>,
    },
    /// Letta refuses our key, or the model provider refuses Letta's.
    Unauthorized,
    /// The conversation, or the message, is too long for the agent's model.
    ContextOverflow,
    /// The agent's model takes no pictures, and there is one in what it was told.
    NoPictures,
    /// No tool call waits for this decision.
    NotPending,
    /// A tool call waits for a decision, and nothing else is taken before.
    ApprovalPending,
    /// Another run is in progress in this conversation.
    Busy,
    /// Letta says that there is no such agent.
    AgentGone,
    /// Letta says that there is no such conversation.
    ConversationGone,
    /// Letta says that there is no such run.
    RunGone,
    /// The same would be refused again.
    Refused,
    /// The answer broke off, or the model wrote what Letta cannot use. Asking again may help.
    Broken,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Keep everything and try again later, within a budget.
    Wait,
    /// Give this message up, and say why.
    Refuse,
    /// Letta itself has said that the thing is gone: forget it.
    Forget,
}

impl FailureKind {
    /// What to do about it.
    pub fn policy(&self) -> FailurePolicy {
        match self {
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Unreachable { .. }
            | Self::ApprovalPending
            | Self::Busy
            | Self::Broken => FailurePolicy::Wait,
            Self::AgentGone | Self::ConversationGone | Self::RunGone => FailurePolicy::Forget,
            Self::Credits
            | Self::Unauthorized
            | Self::ContextOverflow
            | Self::NoPictures
            | Self::NotPending
            | Self::Refused => FailurePolicy::Refuse,
        }
    }

    /// Whether all of the agent's messages meet it until an account, a key or a limit has changed, so that asking with each of
    /// them would be in vain.
    pub fn pauses_agent(&self) -> bool {
        matches!(
            self,
            Self::Credits | Self::RateLimited { .. } | Self::Unauthorized
        )
    }

    /// How long Letta, or the model provider, has asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Unreachable { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// The kind of a conflict with what a conversation is doing; `None` if the words are about something else.
    pub(crate) fn of_conflict(words: &str) -> Option<Self> {
        of_conflict(&words.to_lowercase())
    }

    /// The kind of a request that was refused with these words.
    pub(crate) fn of_refusal(words: &str) -> Self {
        if refuses_pictures(&words.to_lowercase()) {
            return Self::NoPictures;
        }
        Self::Refused
    }

    /// The kind of a failure that was told in a stream: `word` is its `error_type` or `stop_reason`, `words` what was said for
    /// people, `status` that of the model provider where the server names it by itself.
    pub(crate) fn of_stream(word: &str, words: &str, status: Option<u16>) -> Self {
        let said = format!("{word}: {words}").to_lowercase();
        of_conflict(&said)
            .or_else(|| of_words(&said))
            .or_else(|| of_word(word, &said))
            .or_else(|| of_provider_status(status.or_else(|| status_in(words)), &said))
            .unwrap_or_else(|| of_unspecific_word(word))
    }
}

/// The kinds that only a conversation's state explains. Letta's own apps tell them apart by the same words.
fn of_conflict(said: &str) -> Option<FailureKind> {
    const BUSY: [&str; 2] = [
        "is currently being processed",
        "busy with another active run",
    ];
    if said.contains("waiting for approval") {
        return Some(FailureKind::ApprovalPending);
    }
    // The second: what waits is something else than what was decided.
    if said.contains("no tool call is currently awaiting approval")
        || said.contains("invalid tool call ids")
    {
        return Some(FailureKind::NotPending);
    }
    BUSY.iter()
        .any(|words| said.contains(words))
        .then_some(FailureKind::Busy)
}

/// Phrases of model providers. Source: Letta V1's `llm_api/error_utils.py`, and the errors of `OpenAI`, Anthropic, Google.
fn of_words(said: &str) -> Option<FailureKind> {
    const CREDITS: [&str; 9] = [
        "insufficient credits",
        "insufficient_quota",
        "requires more credits",
        "add more credits",
        "credit balance is too low",
        "exceeded your current quota",
        "you've exceeded your budget",
        "can only afford",
        "payment required",
    ];
    const CONTEXT: [&str; 8] = [
        "context_length_exceeded",
        "context_window_exceeded",
        "maximum context length",
        "exceeds the context window",
        "exceed context limit",
        "input tokens exceed the configured limit",
        "exceeds the maximum allowed input length",
        "prompt is too long",
    ];
    const OVERLOADED: [&str; 3] = [
        "overloaded_error",
        "server_overloaded",
        "model is overloaded",
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    if says(&CREDITS) || PERMANENT_REASONS.iter().any(|reason| said.contains(reason)) {
        return Some(FailureKind::Credits);
    }
    if says(&CONTEXT) {
        return Some(FailureKind::ContextOverflow);
    }
    if refuses_pictures(said) {
        return Some(FailureKind::NoPictures);
    }
    let retry_after = retry_after_in(said);
    says(&OVERLOADED).then_some(FailureKind::Overloaded { retry_after })
}

/// Whether these words, in lower case, are those of a model that takes no pictures: of `OpenAI`, `OpenRouter`, llama.cpp, vLLM, Groq,
/// `DeepSeek` and LM Studio.
fn refuses_pictures(said: &str) -> bool {
    const PHRASES: [&str; 11] = [
        "image_url is only supported by certain models",
        "does not support image",
        "do not support image",
        "that support image input",
        "image input is not supported",
        "image inputs are not supported",
        "images are not supported",
        "is not a multimodal model",
        "at most 0 image",
        "unknown variant `image_url`",
        "content must be a string",
    ];
    PHRASES.iter().any(|phrase| said.contains(phrase))
}

/// Reasons for a 429 that no waiting changes. Source: Letta Code, which stops retrying at the same words.
pub(crate) const PERMANENT_REASONS: [&str; 7] = [
    "agents-limit-exceeded",
    "exceeded-quota",
    "free-usage-exceeded",
    "premium-usage-exceeded",
    "standard-usage-exceeded",
    "basic-usage-exceeded",
    "not-enough-credits",
];

/// Words of Letta's that say it all.
fn of_word(word: &str, said: &str) -> Option<FailureKind> {
    Some(match word {
        "insufficient_credits" | "llm_insufficient_credits" => FailureKind::Credits,
        "context_window_overflow_in_system_prompt" => FailureKind::ContextOverflow,
        "llm_rate_limit" | "rate_limit_exceeded" | "rate_limit_error" => FailureKind::RateLimited {
            retry_after: retry_after_in(said),
        },
        "llm_authentication"
        | "llm_permission_denied"
        | "authentication_error"
        | "invalid_api_key" => FailureKind::Unauthorized,
        "llm_overloaded" | "llm_provider_overloaded" | "llm_timeout" => FailureKind::Overloaded {
            retry_after: retry_after_in(said),
        },
        "llm_bad_request" | "llm_not_found" | "llm_unprocessable_entity" => FailureKind::Refused,
        _ => return None,
    })
}

/// What a model provider means by its status.
fn of_provider_status(status: Option<u16>, said: &str) -> Option<FailureKind> {
    let retry_after = retry_after_in(said);
    Some(match status? {
        401 | 403 => FailureKind::Unauthorized,
        402 => FailureKind::Credits,
        429 => FailureKind::RateLimited { retry_after },
        408 | 409 | 425 | 500.. => FailureKind::Overloaded { retry_after },
        400..500 => FailureKind::Refused,
        _ => return None,
    })
}

/// Words of Letta's for many things.
fn of_unspecific_word(word: &str) -> FailureKind {
    match word {
        "error"
        | "internal_error"
        | "cleanup_error"
        | "local_backend_error"
        | "invalid_llm_response"
        | "invalid_tool_call"
        | "no_tool_call"
        | "llm_api_error"
        | "llm_empty_response"
        | "llm_error"
        | "api_error"
        | "server_error"
        | "stream_incomplete"
        | "stream_task_cancelled" => FailureKind::Broken,
        _ => FailureKind::Refused,
    }
}

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static STATUS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^\s*|error code:? |status(?: code)?:? |http )([45]\d\d)\b")
        .expect("a valid pattern")
});

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static RETRY_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    let unit = "(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)";
    let words = r"(?:retry|try again)[ _-](?:after|in)\D{0,4}(\d+(?:\.\d+)?)\s*";
    Regex::new(&format!(r"(?i){words}{unit}?\b")).expect("a valid pattern")
});

/// The status of a model provider, as its client libraries write it: `401: {…}`, `Error code: 429 - {…}`.
fn status_in(words: &str) -> Option<u16> {
    STATUS.captures(words)?.get(1)?.as_str().parse().ok()
}

/// The wait that a provider asks for in words: `Please try again in 20s`.
fn retry_after_in(words: &str) -> Option<Duration> {
    let found = RETRY_AFTER.captures(words)?;
    let number: f64 = found.get(1)?.as_str().parse().ok()?;
    let unit = found.get(2).map_or("s", |unit| unit.as_str());
    let factor = match unit {
        unit if unit.starts_with("ms") || unit.starts_with("mill") => 0.001,
        unit if unit.starts_with('m') => 60.0,
        unit if unit.starts_with('h') => 3600.0,
        _ => 1.0,
    };
    let wait = Duration::try_from_secs_f64(number * factor).ok()?;
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests;
