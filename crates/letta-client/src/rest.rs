//! Letta Cloud and V1 servers: REST with server-sent events.
//!
//! Promises:
//! - The API key is in the `Authorization` header of requests to the configured origin and nowhere
//!   else: no redirect takes it along, no error, log line or `Debug` output shows it.
//! - Every wait and every buffer has a limit with a name.
//! - Nothing is tried again behind the caller's back, except a turn's stream that broke: that is
//!   resumed, because the turn itself goes on.
//!
//! | module | what it is |
//! |---|---|
//! | `api` | one HTTP request, its address, its limits |
//! | `failure` | refusals in all their shapes, classified |
//! | `wire` | JSON as Letta writes it, read leniently |
//! | `listing`, `history` | pages put together |
//! | `approval` | what waits for a person, and what became of a decision |
//! | `runs` | what runs |
//! | `outage` | when the server was away |
//! | `decoder` | events of a stream to [`TurnEvent`](crate::TurnEvent)s; no I/O |
//! | `turn` | a turn's stream: reading, resuming, polling |
//! | [`transcript`] | a stream that was written down, decoded; no I/O |

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::Serialize;
use tokio::time::Instant;

pub(crate) mod api;
mod approval;
pub(crate) mod decoder;
pub(crate) mod failure;
pub(crate) mod history;
pub(crate) mod listing;
mod outage;
mod runs;
mod send;
pub mod transcript;
mod turn;
pub(crate) mod wire;

pub use api::{BODY_BYTES_MAX, REDIRECTS_MAX};
pub use decoder::{
    CALLS_MAX, EVENTS_MAX, TEXT_BYTES_MAX, TOOL_ARGUMENT_BYTES_MAX, TOOL_RETURN_BYTES_MAX,
    TurnLimits,
};
pub use failure::{DETAIL_CHARS_MAX, RETRY_AFTER_MAX};
pub use history::HISTORY_PAGES_MAX;
pub(crate) use listing::is_background_name;
pub use listing::{AGENTS_PAGE, AGENTS_PAGES_MAX};
pub use outage::AWAY_MIN;
pub use turn::{
    BARREN_CONNECTIONS_MAX, DEAD_AFTER, DEAD_AFTER_UNSEEN, END_GRACE, POLL_FAILURES_MAX,
    RECONNECTS_MAX, RESENDS_MAX,
};

use crate::{
    backend::{
        Agent, ApprovalRequest, ApprovalStatus, Backend, BackendInfo, Conversation, Decision,
        Destination, HistoryItem, Prompt, ToolPolicy, TurnStream,
    },
    error::BackendError,
    id::{AgentId, RunId},
};

use failure::RequestTarget;

/// How to reach a server, and how long to wait for it.
#[derive(Clone)]
pub struct RestConfig {
    /// The server: `https://api.letta.com`, `http://localhost:8283`, or with a path before `/v1`,
    /// as behind a proxy. A slash at the end, or `/v1`, changes nothing.
    pub url: String,
    /// Letta Cloud's API key, or a V1 server's password. Servers that ask for none ignore it.
    pub api_key: Option<String>,
    /// The project on Letta Cloud whose agents are meant (`X-Project`).
    pub project: Option<String>,
    /// For a connection to be made. Default: 5 s.
    pub connect_timeout: Duration,
    /// For a plain call, from the request to the last byte of its answer. Default: 30 s.
    pub call_timeout: Duration,
    /// For the next bytes of a stream. Letta pings every 20 s of silence. Default: 60 s.
    pub idle_timeout: Duration,
    /// For a whole turn. Default: none, an agent may work for hours.
    pub turn_timeout: Option<Duration>,
    /// Before the first attempt to fix a broken stream; later ones wait longer, up to
    /// 32 times this, with jitter. Default: 500 ms.
    pub reconnect_delay: Duration,
    /// Between two looks at a run that can only be polled; later ones wait longer, up to 10 times
    /// this. Default: 500 ms.
    pub poll_delay: Duration,
    /// How long Letta must have been away for this to mean that it was started anew. Default: [`AWAY_MIN`].
    pub away_min: Duration,
    /// How long nothing new may come of a run after Letta was away, before it is taken for dead. Default: [`DEAD_AFTER`].
    pub dead_after: Duration,
    /// The same if Letta was not seen to be away. Default: [`DEAD_AFTER_UNSEEN`].
    pub dead_after_unseen: Duration,
    /// What one turn may bring.
    pub limits: TurnLimits,
}

impl RestConfig {
    /// The defaults, for a server without a key.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            project: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            turn_timeout: None,
            reconnect_delay: Duration::from_millis(500),
            poll_delay: Duration::from_millis(500),
            away_min: AWAY_MIN,
            dead_after: DEAD_AFTER,
            dead_after_unseen: DEAD_AFTER_UNSEEN,
            limits: TurnLimits::default(),
        }
    }
}

impl fmt::Debug for RestConfig {
    /// Without the key, and without a password in the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestConfig")
            .field("url", &api::display_url(&self.url))
            .field("api_key", &self.api_key.as_ref().map(|_| "(set)"))
            .field("project", &self.project)
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("turn_timeout", &self.turn_timeout)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why a [`RestConfig`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestConfigError {
    /// The address is not one.
    #[error("the Letta address is not a URL")]
    Url(#[source] url::ParseError),
    /// The address is neither `http` nor `https`.
    #[error("the Letta address must begin with http:// or https://")]
    Scheme,
    /// The key or the project holds what a header cannot.
    #[error("the Letta {0} holds a character that cannot be sent")]
    Header(&'static str),
    /// TLS could not be set up, usually because the machine has no root certificates.
    #[error("cannot set up HTTP")]
    Client(#[source] reqwest::Error),
}

/// How long a server is believed to lack something. What it lacked may come with its upgrade, or
/// with the Redis that started after it.
pub const MISSING_FEATURE_TTL: Duration = Duration::from_mins(10);

/// What is not known before it has been tried.
#[derive(Debug, Default)]
struct Learned(Mutex<Option<(bool, Instant)>>);

impl Learned {
    /// What was last learned, however long ago.
    fn last(&self) -> Option<bool> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|(value, _)| value)
    }

    /// What need not be tried again yet.
    fn fresh(&self) -> Option<bool> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .filter(|(value, at)| *value || at.elapsed() < MISSING_FEATURE_TTL)
            .map(|(value, _)| value)
    }

    fn set(&self, value: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((value, Instant::now()));
    }
}

/// A [`Backend`] over one server.
#[derive(Debug)]
pub struct RestBackend {
    api: Arc<api::Api>,
    /// Whether the server has conversations (V1 since 0.16.2).
    conversations: Learned,
    /// Whether it takes background runs (V1 needs Redis for them).
    background: Learned,
}

impl RestBackend {
    /// A backend. Nothing is sent before its first method is called.
    pub fn new(config: RestConfig) -> Result<Self, RestConfigError> {
        Ok(Self {
            api: Arc::new(api::Api::new(config)?),
            conversations: Learned::default(),
            background: Learned::default(),
        })
    }

    /// Whether the server has conversations; asks it if that is not known.
    async fn has_conversations(&self) -> Result<bool, BackendError> {
        if let Some(known) = self.conversations.fresh() {
            return Ok(known);
        }
        let request = self
            .api
            .get(&["v1", "conversations", ""])
            .query(&[("limit", "1")]);
        let known = match self.api.call(request).await? {
            Ok(_) => true,
            Err(refusal) if refusal.is_no_route() => false,
            Err(refusal) => return Err(refusal.into_error(RequestTarget::Server("conversations"))),
        };
        self.conversations.set(known);
        Ok(known)
    }

    /// Whether the same send twice is one run, as far as it is known.
    fn idempotent(&self) -> Option<bool> {
        match (self.conversations.last(), self.background.last()) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}

#[async_trait]
impl Backend for RestBackend {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        let request = self.api.get(&["v1", "health", ""]);
        let health: wire::Health = match self.api.call(request).await? {
            Ok(answer) => answer.json().unwrap_or_default(),
            // Nobody promises this route outside V1; the next call shows whether Letta is there.
            Err(refusal) if refusal.is_no_route() => wire::Health::default(),
            Err(refusal) => {
                return Err(refusal.into_error(RequestTarget::Server("the health route")));
            }
        };
        let request = self.api.get(&["v1", "agents", ""]).query(&[("limit", "1")]);
        self.api
            .call(request)
            .await?
            .map_err(|refusal| refusal.into_error(RequestTarget::Server("agents")))?;
        let conversations = self.has_conversations().await?;
        let kind = match &health.version {
            Some(version) if version.ends_with("demo") => "demo",
            _ if self.api.is_cloud() => "Letta Cloud",
            _ => "Letta V1",
        };
        Ok(BackendInfo {
            kind: kind.to_owned(),
            version: health.version,
            conversations,
            idempotent: self.idempotent(),
            approvals: true,
            history: true,
            external_turns: false,
        })
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        listing::agents(&self.api).await
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        listing::agent(&self.api, id).await
    }

    async fn create_conversation(
        &self,
        agent: &AgentId,
        label: &str,
    ) -> Result<Conversation, BackendError> {
        #[derive(Serialize)]
        struct Creation<'a> {
            summary: &'a str,
        }
        if !self.has_conversations().await? {
            return Ok(Conversation::Default);
        }
        let request = self
            .api
            .post(&["v1", "conversations", ""])
            .query(&[("agent_id", agent.as_str())])
            .json(&Creation { summary: label });
        let answer = self.api.call(request).await?;
        let answer = answer.map_err(|refusal| refusal.into_error(RequestTarget::Agent(agent)))?;
        let created: wire::Created = answer.json()?;
        Ok(Conversation::Own(created.id))
    }

    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        _conduct: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        self.start(to, &send::Outgoing::prompts(prompts)).await
    }

    async fn decide(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        let approve = decisions.iter().all(|decision| decision.approve);
        match self.approval_status(to, request).await? {
            // All calls of the request are decided in one body, or Letta refuses.
            ApprovalStatus::Waits => self.start(to, &send::Outgoing::decisions(decisions)).await,
            ApprovalStatus::Runs(run) => self.resume(to, &run).await,
            ApprovalStatus::Decided {
                approve: said,
                run: Some(run),
            } if said == approve => self.resume(to, &run).await,
            ApprovalStatus::Decided { .. } => Err(BackendError::NotPending),
        }
    }

    async fn approval_status(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
    ) -> Result<ApprovalStatus, BackendError> {
        let conversations = self.has_conversations().await?;
        approval::approval_status(&self.api, to, conversations, request).await
    }

    async fn pending_approval(
        &self,
        to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        let conversations = self.has_conversations().await?;
        approval::pending_approval(&self.api, to, conversations).await
    }

    async fn resume(&self, to: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        let conversations = self.has_conversations().await?;
        let place = turn::StreamTarget::new(to, conversations);
        turn::resume(self.api.clone(), place, run).await
    }

    async fn cancel(&self, to: &Destination) -> Result<bool, BackendError> {
        let agent = to.agent.as_str();
        let request = match &to.conversation {
            _ if !self.has_conversations().await? => self
                .api
                .post(&["v1", "agents", agent, "messages", "cancel"]),
            Conversation::Default => return runs::cancel_default(&self.api, to, None).await,
            Conversation::Own(id) => self
                .api
                .post(&["v1", "conversations", id.as_str(), "cancel"]),
        };
        match self.api.call(request.json(&wire::Nothing {})).await? {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_nothing_to_cancel() => Ok(false),
            Err(refusal) => Err(refusal.into_error(RequestTarget::Conversation(to))),
        }
    }

    async fn history(
        &self,
        to: &Destination,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError> {
        let conversations = self.has_conversations().await?;
        history::newest(&self.api, to, conversations, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let config = RestConfig {
            api_key: Some("sk-let-secret".into()),
            ..RestConfig::new("http://user:hunter2@localhost:8283/letta/")
        };
        let shown = format!("{config:?} {:?}", RestBackend::new(config.clone()).unwrap());
        assert!(shown.contains("localhost"), "{shown}");
        assert!(
            !shown.contains("secret") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_secure_address_needs_nothing_prepared() {
        assert!(RestBackend::new(RestConfig::new("https://api.letta.com")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_lacks_is_tried_again_after_a_while() {
        let learned = Learned::default();
        assert_eq!(learned.fresh(), None);
        learned.set(false);
        assert_eq!(learned.fresh(), Some(false));
        tokio::time::advance(MISSING_FEATURE_TTL).await;
        assert_eq!((learned.fresh(), learned.last()), (None, Some(false)));
        learned.set(true);
        tokio::time::advance(MISSING_FEATURE_TTL).await;
        assert_eq!(learned.fresh(), Some(true));
    }

    #[test]
    fn an_address_that_cannot_work_is_refused_at_once() {
        let refused = |url: &str| {
            RestBackend::new(RestConfig::new(url))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("localhost:8283"),
            RestConfigError::Scheme.to_string()
        );
        assert_eq!(refused("letta"), "the Letta address is not a URL");
        let config = RestConfig {
            api_key: Some("a\nb".into()),
            ..RestConfig::new("http://localhost")
        };
        let error = RestBackend::new(config).unwrap_err().to_string();
        assert_eq!(
            error,
            "the Letta API key holds a character that cannot be sent"
        );
    }
}
