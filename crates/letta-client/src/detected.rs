//! A backend whose kind is found out when the server first answers.
//!
//! Letta may be down when the bridge starts. Until it answers, every call fails with something
//! that is worth a retry; [`Backend::info`] and [`Backend::agents`], which are called again and
//! again anyway, look. What was found is kept for the life of the process.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{Mutex, watch};

use crate::{
    backend::{
        Agent, ApprovalRequest, ApprovalStatus, Backend, BackendInfo, Conversation, Decision,
        Destination, ExternalTurn, HistoryItem, Prompt, ToolPolicy, TurnStream,
    },
    detect::{BackendKind, DetectError, detect},
    error::BackendError,
    id::{AgentId, RunId},
    rest::api::display_url,
};

/// Makes the backend of a kind.
type Make = Box<dyn Fn(BackendKind) -> Result<Arc<dyn Backend>, MakeError> + Send + Sync>;

/// Why a backend of the kind that was found could not be made.
pub type MakeError = Box<dyn std::error::Error + Send + Sync>;

/// See the module's documentation.
pub struct DetectedBackend {
    url: String,
    api_key: Option<String>,
    make: Make,
    found: Arc<OnceLock<Arc<dyn Backend>>>,
    /// Held by whoever is asking the server, so that it is asked once.
    asking: Mutex<()>,
    told: watch::Sender<bool>,
    external_turns_taken: AtomicBool,
}

impl fmt::Debug for DetectedBackend {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundBackend")
            .field("found", &self.found.get().is_some())
            .finish_non_exhaustive()
    }
}

impl DetectedBackend {
    /// A backend for whatever is at `url`. Nothing is sent before its first method is called.
    pub fn new(
        url: impl Into<String>,
        api_key: Option<String>,
        make: impl Fn(BackendKind) -> Result<Arc<dyn Backend>, MakeError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            url: url.into(),
            api_key,
            make: Box::new(make),
            found: Arc::default(),
            asking: Mutex::new(()),
            told: watch::Sender::new(false),
            external_turns_taken: AtomicBool::new(false),
        })
    }

    /// The backend, found out now if it is not known.
    async fn find(&self) -> Result<&Arc<dyn Backend>, BackendError> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let _asking = self.asking.lock().await;
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let kind = detect(&self.url, self.api_key.as_deref()).await;
        let kind = kind.map_err(|error| match error {
            DetectError::Backend(error) => error,
            DetectError::Config(error) => unusable(&error),
        })?;
        let made = (self.make)(kind).map_err(|error| unusable(&*error))?;
        tracing::info!(?kind, "Letta server kind detected");
        let found = self.found.get_or_init(|| made);
        self.told.send_replace(true);
        Ok(found)
    }

    /// The backend, if it is known.
    fn known(&self) -> Result<&Arc<dyn Backend>, BackendError> {
        self.found.get().ok_or_else(|| BackendError::Undecided {
            url: display_url(&self.url),
        })
    }
}

/// What is wrong cannot be mended by waiting.
fn unusable(error: &(dyn std::error::Error + 'static)) -> BackendError {
    BackendError::Protocol {
        detail: error.to_string(),
    }
}

#[async_trait]
impl Backend for DetectedBackend {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        self.find().await?.info().await
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        self.find().await?.agents().await
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        self.known()?.agent(id).await
    }

    async fn create_conversation(
        &self,
        agent: &AgentId,
        label: &str,
    ) -> Result<Conversation, BackendError> {
        self.known()?.create_conversation(agent, label).await
    }

    fn takes_pictures(&self, model: Option<&str>) -> bool {
        let known = self.found.get();
        known.is_none_or(|backend| backend.takes_pictures(model))
    }

    /// `None` while the kind is not known, so that nobody is sent to a conversation that is not
    /// theirs: making one fails until then.
    fn home_conversation(&self) -> Option<Conversation> {
        self.found.get()?.home_conversation()
    }

    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        policy: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        self.known()?.send(to, prompts, policy).await
    }

    async fn decide(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        self.known()?.decide(to, request, decisions).await
    }

    async fn approval_status(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
    ) -> Result<ApprovalStatus, BackendError> {
        self.known()?.approval_status(to, request).await
    }

    async fn pending_approval(
        &self,
        to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        self.known()?.pending_approval(to).await
    }

    async fn watch(
        &self,
        conversation: &Destination,
        policy: ToolPolicy,
    ) -> Result<(), BackendError> {
        self.known()?.watch(conversation, policy).await
    }

    /// Ends at once if it is found out that nothing can be heard.
    fn external_turns(&self) -> Option<Pin<Box<dyn Stream<Item = ExternalTurn> + Send>>> {
        if self.external_turns_taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (found, mut told) = (Arc::clone(&self.found), self.told.subscribe());
        let later = async move {
            // It fails when this backend is gone, and with it everybody to hear.
            told.wait_for(|told| *told).await.ok()?;
            found.get()?.external_turns()
        };
        let turns = stream::once(later).filter_map(std::future::ready);
        Some(Box::pin(turns.flatten()))
    }

    async fn resume(&self, to: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        self.known()?.resume(to, run).await
    }

    async fn cancel(&self, to: &Destination) -> Result<bool, BackendError> {
        self.known()?.cancel(to).await
    }

    async fn history(
        &self,
        to: &Destination,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError> {
        self.known()?.history(to, limit).await
    }
}
