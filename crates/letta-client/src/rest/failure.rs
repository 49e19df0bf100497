//! Refusals in all the shapes that Letta and what stands before it give them, and what they mean.
//!
//! One table decides, by status, by the shape of the body and by what was asked for:
//!
//! | body | 404, 410 | other 4xx | 408, 425, 429, 5xx |
//! |---|---|---|---|
//! | Letta's, and it names the very thing that was asked for as missing | gone: forget it | – | – |
//! | Letta's, with other words | wait | refuse, or what its words say | wait, or what its words say |
//! | anything else: empty, text, HTML, other JSON | wait | wait | wait |
//!
//! When unsure, wait: a proxy without its backend answers 404 as well, and what was forgotten for it would be lost. Only three
//! statuses mean the same whoever says them: 401 (a key is refused), 402 (somebody wants to be paid), 413 (the message is too
//! large for what stands in between, and stays so).
//!
//! `detail` is a string or an object with a `message`; failures of a model come as `{"error":{…}}`. Conflicts are told apart by
//! their words, as Letta's own apps do, because no code names them everywhere.

use std::{sync::LazyLock, time::Duration};

use http::{HeaderMap, header};
use regex::Regex;
use serde_json::Value;

use crate::{
    backend::{Conversation, Destination, TurnFailure},
    error::{BackendError, MissingResource},
    failure::FailureKind,
    id::{AgentId, RunId},
    json,
};

use crate::failure::PERMANENT_REASONS;
pub use crate::failure::RETRY_AFTER_MAX;

/// How much of a server's words an error keeps, in characters.
pub const DETAIL_CHARS_MAX: usize = 500;

/// What Letta's web framework says of a path, or of a method, that it does not have: nothing about any agent.
const NO_ROUTE: [&str; 2] = ["Not Found", "Method Not Allowed"];

/// `OpenAI`'s code for a model that the server does not have.
const NO_MODEL: &str = "\"model_not_found\"";

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static RUN_ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"run_id=([A-Za-z0-9_-]+)").expect("a valid pattern"));

/// What a call asks for: the only thing that its answer can say is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestTarget<'a> {
    /// Something that every server has.
    Server(&'static str),
    /// An agent, or its default conversation.
    Agent(&'a AgentId),
    /// A conversation.
    Conversation(&'a Destination),
    /// A run.
    Run(&'a RunId),
    /// The model that stands for an agent where Letta speaks as `OpenAI` does.
    Model(&'a AgentId),
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorSource {
    /// Letta.
    Letta,
    /// Letta's web framework, of a path that it does not have.
    NoRoute,
    /// Something else, or somebody who cannot be told from something else.
    Unknown,
}

/// An answer whose status is not a success.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    retry_after: Option<Duration>,
    /// All that was said, for the words that are looked for in it.
    body: String,
    /// What was said for people, cut.
    detail: String,
    source: ErrorSource,
    /// Letta's word for a failure of the model.
    word: Option<String>,
    run: Option<RunId>,
}

impl ErrorResponse {
    /// How much of a refusal is read, in bytes.
    pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

    pub(crate) fn new(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: Option<Value> = json::read_bytes(body).ok();
        let body = String::from_utf8_lossy(body).into_owned();
        let said = json.as_ref().and_then(said);
        let is_lettas = said.as_ref().is_some_and(|(_, is_lettas)| *is_lettas);
        let said = said.map(|(said, _)| said);
        let run = json.as_ref().and_then(|json| json["run_id"].as_str());
        let run = run.and_then(|run| run.parse().ok());
        let word = json
            .as_ref()
            .and_then(|json| json["error"]["type"].as_str());
        let no_route = said.as_deref().is_some_and(|said| NO_ROUTE.contains(&said));
        let source = match (is_lettas, no_route) {
            (true, true) => ErrorSource::NoRoute,
            (true, false) => ErrorSource::Letta,
            (false, _) => ErrorSource::Unknown,
        };
        let mut detail = truncate(said.as_deref().unwrap_or(&body), DETAIL_CHARS_MAX);
        if let Some(location) = headers.get(header::LOCATION).and_then(|v| v.to_str().ok()) {
            detail = truncate(&format!("redirected to {location}"), DETAIL_CHARS_MAX);
        }
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| {
            // The other form, a date, is nothing that Letta sends.
            let seconds = value.to_str().ok()?.trim().parse::<f64>().ok()?;
            let wait = Duration::try_from_secs_f64(seconds).ok()?;
            Some(wait.min(RETRY_AFTER_MAX))
        });
        Self {
            status,
            retry_after,
            source,
            word: word.map(str::to_owned),
            body,
            detail,
            run,
        }
    }

    /// V1 without Redis was asked for a background run. A proxy's 503 is something else: behind it
    /// the send may have been accepted.
    pub(crate) fn is_no_background(&self) -> bool {
        self.status == 503 && self.source == ErrorSource::Letta
    }

    /// Nothing was running.
    pub(crate) fn is_nothing_to_cancel(&self) -> bool {
        self.status == 409 && self.body.contains("No active runs")
    }

    /// Letta does not have this path at all. A proxy before it that has lost its way says no such thing.
    pub(crate) fn is_no_route(&self) -> bool {
        matches!(self.status, 404 | 405) && self.source == ErrorSource::NoRoute
    }

    /// Letta has this run and no stream of it: made in the foreground, or kept for too long.
    pub(crate) fn is_no_stream(&self) -> bool {
        self.source == ErrorSource::Letta && matches!(self.status, 400 | 410 | 503)
    }

    /// Letta refuses an id before it looks for it: it has no such thing, and never had.
    pub(crate) fn is_no_id(&self) -> bool {
        self.status == 422
            && self.source == ErrorSource::Letta
            && self.body.contains("String should match pattern")
    }

    /// The error for a caller.
    pub(crate) fn into_error(self, asked: RequestTarget<'_>) -> BackendError {
        let Self {
            status,
            retry_after,
            ..
        } = self;
        if let Some(failure) = self.model_failure() {
            return BackendError::Model { failure };
        }
        match status {
            401 => BackendError::Unauthorized,
            402 => BackendError::QuotaExceeded {
                reason: "payment-required".to_owned(),
            },
            404 | 410 => match asked
                .missing(&self.body)
                .filter(|_| self.source == ErrorSource::Letta)
            {
                Some(missing) => missing,
                None => self.unsure(),
            },
            413 => BackendError::Refused {
                status,
                detail: self.detail,
            },
            429 => match PERMANENT_REASONS
                .iter()
                .find(|reason| self.body.contains(**reason))
            {
                Some(reason) => BackendError::QuotaExceeded {
                    reason: (*reason).to_owned(),
                },
                None => BackendError::RateLimited { retry_after },
            },
            // A request that came too slowly, or too early, may come again.
            408 | 425 | 500.. => BackendError::ServerError {
                status,
                detail: self.detail,
                retry_after,
            },
            _ if self.source != ErrorSource::Letta => self.unsure(),
            // A decision on nothing is no conflict to V1 but a mistake. What else is in conflict now need not be later.
            400 | 409 => match conflict(&self.body, self.run.clone()) {
                Some(conflict) => conflict,
                None if status == 409 => BackendError::Busy { run: self.run },
                None => BackendError::Refused {
                    status,
                    detail: self.detail,
                },
            },
            _ => BackendError::Refused {
                status,
                detail: self.detail,
            },
        }
    }

    /// It is not known that Letta itself has said this.
    fn unsure(self) -> BackendError {
        BackendError::NotLetta {
            status: self.status,
            detail: self.detail,
            retry_after: self.retry_after,
        }
    }

    /// What the model provider is to blame for, in Letta's word for it.
    fn model_failure(&self) -> Option<TurnFailure> {
        let word = self
            .word
            .as_deref()
            .filter(|word| word.starts_with("llm_"))?;
        let mut failure = super::decoder::failure(word, &self.detail);
        if let FailureKind::RateLimited { retry_after } | FailureKind::Overloaded { retry_after } =
            &mut failure.kind
        {
            *retry_after = retry_after.or(self.retry_after);
        }
        Some(failure)
    }
}

impl RequestTarget<'_> {
    /// The error if these words say that just this is gone.
    fn missing(self, words: &str) -> Option<BackendError> {
        let (kind, missing, id) = match self {
            Self::Server(_) => return None,
            Self::Agent(id) => ("Agent", MissingResource::Agent, id.as_str()),
            Self::Conversation(Destination {
                agent,
                conversation: Conversation::Default,
            }) => ("Agent", MissingResource::Agent, agent.as_str()),
            Self::Conversation(Destination {
                agent,
                conversation: Conversation::Own(id),
            }) => {
                // V1 looks for the agent of a conversation as well, and names it without its id.
                if is_missing(words, "Agent", agent.as_str()) {
                    return Self::Agent(agent).missing(words);
                }
                ("Conversation", MissingResource::Conversation, id.as_str())
            }
            Self::Run(id) => ("Run", MissingResource::Run, id.as_str()),
            Self::Model(_) => {
                let missing = MissingResource::Agent;
                return words.contains(NO_MODEL).then(|| BackendError::NotFound {
                    missing,
                    what: self.to_string(),
                });
            }
        };
        is_missing(words, kind, id).then(|| BackendError::NotFound {
            missing,
            what: self.to_string(),
        })
    }
}

/// Whether these words say that the thing of this id does not exist. V1 says it in three ways, of which one names no id.
fn is_missing(words: &str, kind: &str, id: &str) -> bool {
    let nameless = format!("\"{kind} not found\"");
    let by_list = format!("{kind} not found with id='['{id}']'");
    let by_id = format!("{kind} with ID {id} not found");
    let quoted = format!("{kind} {id} not found");
    [nameless, by_list, by_id, quoted]
        .iter()
        .any(|said| words.contains(said.as_str()))
}

impl std::fmt::Display for RequestTarget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(what) => f.write_str(what),
            Self::Agent(id) | Self::Model(id) => write!(f, "agent {id}"),
            Self::Conversation(to) => f.write_str(&super::send::name(to)),
            Self::Run(id) => write!(f, "run {id}"),
        }
    }
}

/// What a body says for people, and whether it has one of the two shapes that are Letta's.
fn said(json: &Value) -> Option<(String, bool)> {
    let detail = &json["detail"];
    if let Some(text) = detail.as_str().or_else(|| detail["message"].as_str()) {
        return Some((text.to_owned(), true));
    }
    if !detail.is_null() {
        return Some((detail.to_string(), true));
    }
    let error = &json["error"];
    let parts = [&error["message"], &error["detail"], error, &json["message"]];
    let parts: Vec<_> = parts.into_iter().filter_map(Value::as_str).collect();
    (!parts.is_empty()).then(|| (parts.join(": "), error["message"].is_string()))
}

/// What a conflict's words mean. Streams carry the same words in an error event.
pub(crate) fn conflict(text: &str, run: Option<RunId>) -> Option<BackendError> {
    match FailureKind::of_conflict(text)? {
        FailureKind::ApprovalPending => Some(BackendError::ApprovalPending),
        FailureKind::NotPending => Some(BackendError::NotPending),
        _ => {
            let named = || RUN_ID.captures(text)?.get(1)?.as_str().parse().ok();
            Some(BackendError::Busy {
                run: run.or_else(named),
            })
        }
    }
}

/// The beginning of a text, at most `max` characters.
pub(crate) fn truncate(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
