//! The OpenAI-compatible routes that several servers put before Letta: `GET /v1/models` lists the
//! agents, `POST /v1/chat/completions` asks one of them.
//!
//! It is what is left when nothing better is reachable: the App Server with `--openai-api`, and
//! proxies such as Hayhooks on port 1416. Text and pictures go in and text comes out, and that is all. There is no
//! history, nothing can wait for a person's decision (tools run unasked), nothing can be stopped,
//! and nothing can be asked for again.
//!
//! Promises:
//! - An empty list of agents is an error: proxies answer a failure with one.
//! - No prompt is sent twice once the server has begun to answer it. A stream that breaks ends the
//!   turn with `STREAM_INCOMPLETE`, because the turn itself goes on where nobody can see it.
//! - Two agents never share an id, see `models`.
//!
//! | module | what it is |
//! |---|---|
//! | `models` | the list of agents, and ids for those that have only a name |
//! | `chunks` | chunks of a stream to [`TurnEvent`]s; no I/O |
//! | `turn` | one turn's stream |
//! | [`transcript`] | a stream that was written down, decoded without a server |
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat>, and what the servers really do.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream;
use serde::Serialize;

use crate::{
    backend::{
        Agent, ApprovalRequest, Backend, BackendInfo, Conversation, Decision, Destination,
        HistoryItem, Prompt, ToolPolicy, TurnEvent, TurnStream,
    },
    detect,
    error::BackendError,
    id::{AgentId, ConversationId, RunId},
    prompt::Content,
    rest::{RestConfig, RestConfigError, TurnLimits, api::SharedApi, failure::RequestTarget},
};

mod chunks;
mod models;
pub mod transcript;
mod turn;

pub use models::{MODEL_BYTES_MAX, MODELS_MAX};
pub use turn::AFTER_FINISH_MAX;

/// The header that names a lasting conversation, on servers that know it.
const CHAT_KEY: &str = "x-letta-chat-key";

/// How to reach a server, and how long to wait for it.
#[derive(Clone)]
pub struct OpenAiConfig {
    /// The server, with or without a path, such as `http://localhost:1416`. A slash at the end, or
    /// `/v1`, changes nothing.
    pub url: String,
    /// The bearer token. Servers that ask for none ignore it.
    pub api_key: Option<String>,
    /// For a connection to be made. Default: 5 s.
    pub connect_timeout: Duration,
    /// For a plain call, from the request to the last byte of its answer. Default: 30 s.
    pub call_timeout: Duration,
    /// For the next bytes of a stream. Nothing pings while a tool runs. Default: 10 min.
    pub idle_timeout: Duration,
    /// What one turn may bring.
    pub limits: TurnLimits,
}

impl OpenAiConfig {
    /// The defaults, for a server without a key.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(10),
            limits: TurnLimits::default(),
        }
    }

    fn into_rest(self) -> RestConfig {
        RestConfig {
            api_key: self.api_key,
            connect_timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
            idle_timeout: self.idle_timeout,
            limits: self.limits,
            ..RestConfig::new(self.url)
        }
    }
}

impl fmt::Debug for OpenAiConfig {
    /// Without the key, and without a password in the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAiConfig")
            .field(&self.clone().into_rest())
            .finish()
    }
}

/// A [`Backend`] over one server.
#[derive(Debug)]
pub struct OpenAiBackend {
    api: SharedApi,
    models: models::Models,
}

/// The body of a send.
#[derive(Serialize)]
struct Chat<'a> {
    model: &'a str,
    messages: [Message; 1],
    stream: bool,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Content,
}

impl OpenAiBackend {
    /// A backend. Nothing is sent before its first method is called.
    pub fn new(config: OpenAiConfig) -> Result<Self, RestConfigError> {
        let api = crate::rest::api::Api::new(config.into_rest())?;
        Ok(Self {
            api: Arc::new(api),
            models: models::Models::default(),
        })
    }
}

#[async_trait]
impl Backend for OpenAiBackend {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        models::list(&self.api).await?;
        let app_server = detect::app_server(&self.api).await?.ok().flatten();
        let kind = match app_server {
            Some(_) => "OpenAI routes of a Letta App Server",
            None => "OpenAI-compatible server",
        };
        Ok(BackendInfo {
            kind: kind.to_owned(),
            conversations: app_server.is_some(),
            version: app_server.and_then(|server| server.version),
            idempotent: Some(false),
            approvals: false,
            history: false,
            external_turns: false,
        })
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        let agents = self.models.agents(&self.api).await?;
        if agents.is_empty() {
            return Err(BackendError::EmptyList);
        }
        Ok(agents)
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        let agents = self.agents().await?;
        Ok(agents.into_iter().find(|agent| agent.id == *id))
    }

    /// Only the App Server keeps conversations apart, by a key of ours. `label` is shown nowhere.
    async fn create_conversation(
        &self,
        _agent: &AgentId,
        _label: &str,
    ) -> Result<Conversation, BackendError> {
        if !matches!(detect::app_server(&self.api).await?, Ok(Some(_))) {
            return Ok(Conversation::Default);
        }
        let key = format!("chat-{:032x}", rand::random::<u128>());
        let key = ConversationId::parse(key).map_err(|error| BackendError::Protocol {
            detail: error.to_string(),
        })?;
        Ok(Conversation::Own(key))
    }

    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        _conduct: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        let model = self.models.model(&self.api, &to.agent).await?;
        // Some servers read the last user message and no other.
        let body = Chat {
            model: &model,
            messages: [Message {
                role: "user",
                content: Content::for_openai(prompts),
            }],
            stream: true,
        };
        // Every agent has a default conversation of its own.
        let key = match &to.conversation {
            Conversation::Default => to.agent.as_str(),
            Conversation::Own(key) => key.as_str(),
        };
        let request = self
            .api
            .post(&["v1", "chat", "completions"])
            .header(CHAT_KEY, key)
            .json(&body);
        let response = self.api.open_with(request).await?;
        let response =
            response.map_err(|refusal| refusal.into_error(RequestTarget::Model(&to.agent)))?;
        Ok(turn::stream(self.api.clone(), response))
    }

    async fn decide(
        &self,
        _to: &Destination,
        _request: &ApprovalRequest,
        _decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        // Nothing ever waits here.
        Err(BackendError::NotPending)
    }

    async fn pending_approval(
        &self,
        _to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        Ok(None)
    }

    /// The run goes on, or has ended, where nobody can see it. Asking again would run it twice.
    async fn resume(&self, _to: &Destination, _run: &RunId) -> Result<TurnStream, BackendError> {
        let lost = chunks::incomplete("the stream broke, and cannot be taken up again here");
        let lost = std::future::ready(Ok(TurnEvent::Finished(lost)));
        Ok(Box::pin(stream::once(lost)))
    }

    /// Hanging up does not stop a turn: it goes on, with its tools, until it ends.
    async fn cancel(&self, _to: &Destination) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported {
            what: "stop a turn",
        })
    }

    /// Nothing: see [`BackendInfo::history`].
    async fn history(
        &self,
        _to: &Destination,
        _limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError> {
        Ok(Vec::new())
    }
}
