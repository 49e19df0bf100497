//! Current, self-hosted Letta: the App Server, one WebSocket for everything.
//!
//! Promises:
//! - The token is in the `Authorization` header of requests to the configured origin and nowhere
//!   else: no redirect takes it along, no error, log line or `Debug` output shows it.
//! - A lost socket costs no turn: a second one keeps the server from cancelling it, both bring the
//!   same events, and each is told once.
//! - An input has the key of its prompt as its id, so that the server runs it once however often
//!   it is sent.
//! - Every wait, queue and buffer has a limit with a name.
//!
//! | module | what it is |
//! |---|---|
//! | `address` | where the server is, who it is, and opening a socket there |
//! | `link` | one socket, held open |
//! | `wire`, `command` | frames of the server, read leniently; frames to it |
//! | `runtime` | what is known of one conversation; frames in, turn events out; no I/O |
//! | `hub` | the task between the backend, the two links and all runtimes |
//! | `missing` | what the server says does not exist |
//! | `history` | stored messages |
//! | [`transcript`] | frames that were written down, told without a server |

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use url::Url;

mod address;
mod command;
mod history;
mod hub;
mod link;
mod missing;
mod runtime;
pub mod transcript;
mod wire;

pub use address::FRAME_BYTES_MAX;
pub use history::{AGENTS_MAX, HISTORY_PAGES_MAX};
pub use hub::{EXTERNAL_TURNS_MAX, LAST_TURNS_MAX, LOOK_MESSAGES, PARKED_MAX, RECONNECTS_MAX};
pub use runtime::{INPUT_LOOKUPS_MAX, INPUT_SILENCE_MAX, TURN_END_WAIT_MAX};

use crate::{
    backend::{
        Agent, ApprovalRequest, Backend, BackendInfo, Conversation, Decision, Destination,
        ExternalTurn, HistoryItem, Prompt, ToolPolicy, TurnStream,
    },
    error::BackendError,
    id::{AgentId, RunId},
    rest::{api, decoder::TurnLimits, listing},
};

use address::Address;
use command::{Creation, Request};
use hub::{Call, Hub, MESSAGES_PAGE};
use link::SocketTimeouts;
use wire::{ResponseBody, Scope};

/// How to reach a server, and how long to wait for it.
#[derive(Clone)]
pub struct AppServerConfig {
    /// The server: `ws://localhost:4500`, `wss://…` behind a proxy, or the same with `http` and
    /// `https`. `/ws` at the end changes nothing.
    pub url: String,
    /// The capability token or signed bearer token, if the server wants one.
    pub token: Option<String>,
    /// For a socket to open. Default: 5 s.
    pub connect_timeout: Duration,
    /// For the answer to a request: what the server does not know it leaves unanswered.
    /// Default: 30 s.
    pub request_timeout: Duration,
    /// For the next frame or ping. The server pings every 30 s. Default: 75 s.
    pub idle_timeout: Duration,
    /// Before the first attempt to connect again; later ones wait longer, up to 16 times this,
    /// with jitter. Default: 500 ms.
    pub reconnect_delay: Duration,
    /// What one turn may bring.
    pub limits: TurnLimits,
}

impl AppServerConfig {
    /// The defaults, for a server without a token.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            reconnect_delay: Duration::from_millis(500),
            limits: TurnLimits::default(),
        }
    }
}

impl fmt::Debug for AppServerConfig {
    /// Without the token, and without a password in the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.url).map(|url| api::without_credentials(&url));
        f.debug_struct("AppServerConfig")
            .field("url", &url.as_deref().unwrap_or("(not a URL)"))
            .field("token", &self.token.as_ref().map(|_| "(set)"))
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why an [`AppServerConfig`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AppServerConfigError {
    /// The address is not one.
    #[error("the Letta address is not a URL")]
    Url(#[source] url::ParseError),
    /// The address is none of a socket.
    #[error("the address of an App Server must begin with ws://, wss://, http:// or https://")]
    Scheme,
    /// The token holds what a header cannot.
    #[error("the token of the App Server holds a character that cannot be sent")]
    Token,
    /// TLS could not be set up, usually because the machine has no root certificates.
    #[error("cannot set up HTTP")]
    Client(#[source] reqwest::Error),
}

/// A [`Backend`] over one server.
pub struct AppServerBackend {
    config: AppServerConfig,
    address: Arc<Address>,
    /// Started by the first call: no socket opens before that.
    hub: OnceLock<Hub>,
    external_turns: (
        mpsc::Sender<ExternalTurn>,
        Mutex<Option<mpsc::Receiver<ExternalTurn>>>,
    ),
}

impl fmt::Debug for AppServerBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppServerBackend")
            .field(&self.config)
            .finish()
    }
}

impl AppServerBackend {
    /// A backend. Nothing is sent before its first method is called.
    pub fn new(mut config: AppServerConfig) -> Result<Self, AppServerConfigError> {
        let address = Arc::new(Address::new(&config)?);
        config.token = config.token.map(|_| String::new());
        let (sender, receiver) = mpsc::channel(EXTERNAL_TURNS_MAX);
        Ok(Self {
            config,
            address,
            hub: OnceLock::new(),
            external_turns: (sender, Mutex::new(Some(receiver))),
        })
    }

    fn hub(&self) -> &Hub {
        self.hub.get_or_init(|| {
            let pace = SocketTimeouts {
                reconnect_delay: self.config.reconnect_delay,
                idle_timeout: self.config.idle_timeout,
            };
            Hub::start(
                self.address.clone(),
                pace,
                self.config.request_timeout,
                self.config.limits,
                self.external_turns.0.clone(),
            )
        })
    }

    async fn ask(&self, request: Request) -> Result<ResponseBody, BackendError> {
        self.hub().call(|reply| Call::Plain(request, reply)).await
    }

    /// Subscribes to a conversation, unless it is already.
    async fn subscribe(&self, to: &Destination, policy: ToolPolicy) -> Result<Scope, BackendError> {
        let (scope, mode) = (Scope::of(to), policy.mode);
        let wanted = scope.clone();
        self.hub()
            .call(|reply| Call::Subscribe(wanted, Some(mode), reply))
            .await?;
        Ok(scope)
    }

    /// The same, in whatever mode it is.
    async fn join(&self, to: &Destination) -> Result<Scope, BackendError> {
        let scope = Scope::of(to);
        let wanted = scope.clone();
        self.hub()
            .call(|reply| Call::Subscribe(wanted, None, reply))
            .await?;
        Ok(scope)
    }
}

#[async_trait]
impl Backend for AppServerBackend {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        let info = self.address.info().await?;
        let lacks = |what: &str| {
            let has = info.capabilities.as_ref().and_then(|all| all.get(what));
            has.and_then(serde_json::Value::as_bool) == Some(false)
        };
        for what in [
            "agent_management",
            "conversation_management",
            "runtime_start",
        ] {
            if lacks(what) {
                let detail = format!("this App Server says that it lacks `{what}`");
                return Err(BackendError::Protocol { detail });
            }
        }
        if info
            .protocol_version
            .is_some_and(|version| version != PROTOCOL_VERSION)
        {
            tracing::warn!(
                version = info.protocol_version,
                "App Server protocol version mismatch"
            );
        }
        Ok(BackendInfo {
            kind: "Letta App Server".to_owned(),
            version: info.letta_code_version,
            conversations: true,
            idempotent: Some(true),
            approvals: true,
            history: true,
            external_turns: true,
        })
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        history::agents(self).await
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        let agent_id = id.to_string();
        match self.ask(Request::AgentRetrieve { agent_id }).await {
            Ok(answer) => match answer.agent {
                Some(entry) if entry.id.as_deref() == Some(id.as_str()) => {
                    Ok(listing::agent_from_entry(entry))
                }
                _ => Err(BackendError::unexpected_answer(
                    "not the record of this agent",
                )),
            },
            Err(BackendError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_conversation(
        &self,
        agent: &AgentId,
        label: &str,
    ) -> Result<Conversation, BackendError> {
        let body = Creation {
            agent_id: agent.to_string(),
            summary: label.to_owned(),
        };
        let answer = self.ask(Request::ConversationCreate { body }).await?;
        let id = answer.conversation.and_then(|made| made.id);
        let id = id.and_then(|id| id.parse().ok());
        id.map(Conversation::Own)
            .ok_or_else(|| BackendError::Protocol {
                detail: "a new conversation without an id".to_owned(),
            })
    }

    /// Agents' default conversations share one lock in the server.
    fn home_conversation(&self) -> Option<Conversation> {
        None
    }

    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        policy: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        let scope = self.subscribe(to, policy).await?;
        let prompts = prompts.to_vec();
        self.hub()
            .call(|reply| Call::Send(scope, prompts, policy, reply))
            .await
    }

    async fn decide(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        let scope = self.join(to).await?;
        let of_it =
            |decision: &&Decision| request.calls.iter().any(|call| call.id == decision.call);
        let decision = decisions.iter().find(of_it).cloned();
        let decision = decision.ok_or(BackendError::NotPending)?;
        let (request, call) = (request.clone(), decision.call.clone());
        let decided = self
            .hub()
            .call(|reply| Call::Decide(scope, request, decision, reply))
            .await;
        let sent = match decided {
            Err(BackendError::NotPending) => true,
            Err(BackendError::Forgotten { sent }) => sent,
            other => return other,
        };
        // Only the history tells whether somebody else has decided.
        Err(if history::has_returned(self, to, &call).await? {
            BackendError::NotPending
        } else {
            BackendError::Forgotten { sent }
        })
    }

    async fn pending_approval(
        &self,
        to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        let scope = self.join(to).await?;
        self.hub().call(|reply| Call::Pending(scope, reply)).await
    }

    /// The server leaves pictures out, and says so to nobody but the model, where its entry for the model has none. That of a
    /// generic endpoint never has; other providers are asked by the server what their models can.
    fn takes_pictures(&self, model: Option<&str>) -> bool {
        !model.is_some_and(|model| model.starts_with(GENERIC_MODELS))
    }

    async fn watch(&self, to: &Destination, policy: ToolPolicy) -> Result<(), BackendError> {
        self.subscribe(to, policy).await.map(drop)
    }

    fn external_turns(&self) -> Option<Pin<Box<dyn Stream<Item = ExternalTurn> + Send>>> {
        let mut receiver = self
            .external_turns
            .1
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(Box::pin(ReceiverStream::new(receiver.take()?)))
    }

    async fn resume(&self, to: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        let scope = self.join(to).await?;
        let run = run.clone();
        self.hub()
            .call(|reply| Call::Resume(scope, run, reply))
            .await
    }

    async fn cancel(&self, to: &Destination) -> Result<bool, BackendError> {
        let scope = self.join(to).await?;
        self.hub().call(|reply| Call::Cancel(scope, reply)).await
    }

    async fn history(
        &self,
        to: &Destination,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError> {
        history::newest(self, to, limit).await
    }
}

/// How the names of models begin that the server reaches at a generic endpoint.
const GENERIC_MODELS: &str = "openai-compatible/";

/// The version of the protocol that is spoken here.
const PROTOCOL_VERSION: u64 = 1;
