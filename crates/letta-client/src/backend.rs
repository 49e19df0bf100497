//! The trait over every way to reach Letta, and the words that pass over it.
//!
//! The bridge keeps one turn in flight per conversation, so a backend need not queue. What a
//! backend hides: paging, streams that break and are resumed, servers without Redis, older servers
//! without conversations, agents of older kinds whose text is missing from the stream; that some
//! servers end a turn when a tool needs a person's decision and others hold it.

use std::{pin::Pin, time::Duration};

use async_trait::async_trait;
use futures_util::Stream;

use crate::{
    error::BackendError,
    failure::{FailureKind, FailurePolicy},
    id::{AgentId, ConversationId, MessageId, RunId, ToolCallId},
};

pub use crate::prompt::{Image, Part, Prompt, Speaker};

/// A way to reach Letta.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Asks the server who it is, with our credentials: a health and an access check in one.
    async fn info(&self) -> Result<BackendInfo, BackendError>;

    /// Every agent there is, over all pages, oldest first, without Letta's own background helpers.
    ///
    /// Complete or an error: a failure is never an empty or a shortened list.
    async fn agents(&self) -> Result<Vec<Agent>, BackendError>;

    /// One agent, or `None` if Letta does not know it.
    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError>;

    /// Makes a conversation of `agent` beside its default one. `label` is what Letta's own apps
    /// show for it. On a server without conversations this is [`Conversation::Default`].
    async fn create_conversation(
        &self,
        agent: &AgentId,
        label: &str,
    ) -> Result<Conversation, BackendError>;

    /// The conversation that an agent's own room uses without asking for one; `None` where each
    /// room needs a conversation of its own, because agents' default ones get in each other's way.
    fn home_conversation(&self) -> Option<Conversation> {
        Some(Conversation::Default)
    }

    /// Starts one turn with all of `prompts` (at least one), and streams it.
    ///
    /// Sending the same prompts again attaches to the first run where the server can tell
    /// (see [`BackendInfo::idempotent`]). A backend without permission modes ignores `policy`.
    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        policy: ToolPolicy,
    ) -> Result<TurnStream, BackendError>;

    /// Answers an approval request, one decision for each of its calls, and streams how the agent
    /// goes on: until the next request, or until the turn is over.
    ///
    /// Deciding the same again, because the answer was lost, streams how the agent went on the
    /// first time. [`BackendError::NotPending`]: nothing waits for these decisions (any more), and
    /// they were not ours. [`BackendError::Forgotten`]: nothing waits, and nobody has decided.
    async fn decide(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError>;

    /// Whether a model that Letta names so can be shown pictures, as far as that is known: where it is not, they are sent, and the
    /// answer tells ([`FailureKind::NoPictures`]).
    fn takes_pictures(&self, _model: Option<&str>) -> bool {
        true
    }

    /// What has become of a request: whoever is about to decide looks first, since some servers take a decision on what was
    /// decided already, and run the model again.
    ///
    /// A backend that is told of foreign decisions by itself says [`ApprovalStatus::Waits`] without asking.
    async fn approval_status(
        &self,
        _to: &Destination,
        _request: &ApprovalRequest,
    ) -> Result<ApprovalStatus, BackendError> {
        Ok(ApprovalStatus::Waits)
    }

    /// What waits for a person's decision in this conversation, whoever asked for it.
    async fn pending_approval(
        &self,
        to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError>;

    /// Listens to a conversation from now on: turns in it that others start (a schedule, Letta's
    /// own app) arrive in [`Backend::external_turns`]. Backends that cannot hear them do nothing.
    async fn watch(
        &self,
        _conversation: &Destination,
        _conduct: ToolPolicy,
    ) -> Result<(), BackendError> {
        Ok(())
    }

    /// Turns that others start in the conversations that are watched. `None`: this backend hears
    /// none, or the stream was taken before.
    fn external_turns(&self) -> Option<Pin<Box<dyn Stream<Item = ExternalTurn> + Send>>> {
        None
    }

    /// Streams a run again from its beginning, whether it still runs or has ended.
    async fn resume(&self, to: &Destination, run: &RunId) -> Result<TurnStream, BackendError>;

    /// Stops what runs in this conversation. `false`: nothing was running.
    async fn cancel(&self, to: &Destination) -> Result<bool, BackendError>;

    /// The newest `limit` stored messages of a conversation, oldest first.
    async fn history(
        &self,
        to: &Destination,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError>;
}

/// A turn as it happens. The last item is one [`TurnEvent::Finished`] or one error, never both.
///
/// Dropping the stream does not stop the turn.
pub type TurnStream = Pin<Box<dyn Stream<Item = Result<TurnEvent, BackendError>> + Send>>;

/// A turn that somebody else has started.
pub struct ExternalTurn {
    /// Where.
    pub at: Destination,
    /// Identifies the turn for ever.
    pub key: String,
    /// What it answers, as far as it is known: what a person wrote in another app.
    pub prompt: Option<String>,
    /// The turn as it happens.
    pub turn: TurnStream,
}

/// What an agent may do without asking in a conversation. Set anew with each send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolPolicy {
    /// When it has to ask.
    pub mode: PermissionMode,
    /// It may talk and use no tool at all.
    pub chat_only: bool,
}

/// When an agent has to ask before it uses a tool, in the App Server's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PermissionMode {
    /// Before shell commands, edits and other tools that change something.
    #[default]
    Standard,
    /// As [`PermissionMode::Standard`], but not before edits of files.
    AcceptEdits,
    /// Before everything.
    Strict,
    /// Never.
    Unrestricted,
}

/// A person's decision on one tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The call.
    pub call: ToolCallId,
    /// Whether it may run.
    pub approve: bool,
    /// Why not, for the agent.
    pub reason: Option<String>,
}

/// What has become of an approval request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalStatus {
    /// As far as is known it waits for a decision.
    Waits,
    /// A run goes on in its conversation: a decision is being carried out, and not stored yet.
    Runs(RunId),
    /// It is decided.
    Decided {
        /// Whether all its calls were approved.
        approve: bool,
        /// The run that went on after that, if the server names it.
        run: Option<RunId>,
    },
}

/// What a server told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a server can or cannot do"
)]
pub struct BackendInfo {
    /// What kind of server this is, for people: `Letta Cloud`, `Letta V1`, `demo`.
    pub kind: String,
    /// The version it names, if it names one.
    pub version: Option<String>,
    /// Whether it has conversations beside an agent's default one.
    pub conversations: bool,
    /// Whether the same send twice is one run (background mode; V1 needs Redis for it).
    /// `None` until the first send has shown it.
    pub idempotent: Option<bool>,
    /// Whether tools can wait for a person's decision here.
    pub approvals: bool,
    /// Whether stored messages can be read.
    pub history: bool,
    /// Whether turns that others start are heard.
    pub external_turns: bool,
}

impl BackendInfo {
    /// Kind and version, for people.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.kind),
            None => self.kind.clone(),
        }
    }

    /// What cannot be done there, as the end of a line for people; empty if nothing is missing.
    pub fn missing_features(&self) -> String {
        let can = [
            (self.approvals, "approvals (tools run unasked)"),
            (self.history, "history"),
            (self.conversations, "conversations apart from each other"),
            (self.external_turns, "turns that others start"),
            (
                self.idempotent != Some(false),
                "knowing a message that comes twice",
            ),
        ];
        let missing: Vec<_> = can
            .into_iter()
            .filter_map(|(can, what)| (!can).then_some(what))
            .collect();
        match missing.as_slice() {
            [] => String::new(),
            missing => format!("; without {}", missing.join(", ")),
        }
    }
}

/// A Letta agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name: chosen by a person, not unique, may change.
    pub name: String,
    /// What it is for, in its maker's words.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The model it thinks with, as Letta names it.
    pub model: Option<String>,
}

/// A thread of messages of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// The one that every agent has, which Letta's own apps show first.
    Default,
    /// One of its others.
    Own(ConversationId),
}

/// Where a prompt goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The agent.
    pub agent: AgentId,
    /// Its conversation.
    pub conversation: Conversation,
}

/// What happens in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnEvent {
    /// Letta has accepted the prompts.
    Started {
        /// The run that answers them.
        run: RunId,
        /// Whether [`Backend::resume`] can stream it again.
        resumable: bool,
    },
    /// More of an assistant message: append `delta` to what came before under this id.
    Text {
        /// The message it belongs to. A new id is a new message of the same turn.
        message: MessageId,
        /// The text to append.
        delta: String,
    },
    /// More of the agent's reasoning.
    Reasoning {
        /// The message it belongs to. Its id may equal that of a text message.
        message: MessageId,
        /// The text to append.
        delta: String,
    },
    /// What came before under this id as [`TurnEvent::Text`] or [`TurnEvent::Reasoning`] is void.
    Discard {
        /// The void message.
        message: MessageId,
    },
    /// The agent calls a tool; sent once, when the arguments are complete.
    ToolCall(ToolCall),
    /// The agent has called this tool as well, and Letta does not keep the call: it never runs.
    CallDropped(ToolCall),
    /// A tool has returned. The last one for a call counts.
    ToolReturn {
        /// The call.
        call: ToolCallId,
        /// Whether the tool succeeded.
        ok: bool,
        /// What it returned.
        text: String,
    },
    /// The agent may not go on before a person has decided; the turn ends with
    /// [`StopReason::NeedsApproval`].
    Approval(ApprovalRequest),
    /// The model provider has failed, and Letta asks it once more by itself. What came of it before is void only if a
    /// [`TurnEvent::Discard`] says so.
    Retrying {
        /// How the provider has failed.
        kind: FailureKind,
        /// How long Letta waits before it asks again.
        delay: Duration,
    },
    /// The connection is lost while the turn goes on; the backend tries to get it back.
    Interrupted,
    /// The connection is there again.
    Reconnected,
    /// The turn is over.
    Finished(StopReason),
}

/// A call of a tool by an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id.
    pub id: ToolCallId,
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them: JSON if it wrote it well.
    pub arguments: String,
}

/// Tool calls that wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The message that asks.
    pub id: MessageId,
    /// All the calls; they are decided together.
    pub calls: Vec<ToolCall>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The agent has said what it had to say.
    EndTurn,
    /// A person stopped it.
    Cancelled,
    /// It reached Letta's limit of steps.
    MaxSteps,
    /// It waits for a person, see [`TurnEvent::Approval`].
    NeedsApproval,
    /// Something failed on Letta's side after the turn had begun.
    Failed(TurnFailure),
}

/// A failure inside a turn, reported by Letta in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnFailure {
    /// A stable code for people and logs: Letta's `error_type` or `stop_reason` in upper case,
    /// such as `LLM_RATE_LIMIT`, or `STREAM_INCOMPLETE`.
    pub code: String,
    /// What Letta says, for the log. Never shown to a room: it can hold what is not theirs.
    pub detail: String,
    /// What it means.
    pub kind: FailureKind,
}

impl TurnFailure {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        self.kind.policy() == FailurePolicy::Wait
    }
}

/// One stored message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryItem {
    /// Its id.
    pub id: MessageId,
    /// The key it was sent with, if a client sent it.
    pub key: Option<String>,
    /// Who said it.
    pub role: Role,
    /// Its text.
    pub text: String,
    /// The run it belongs to, if Letta says so.
    pub run: Option<RunId>,
    /// When, as Letta wrote it (RFC 3339).
    pub date: Option<String>,
}

/// Whose message a [`HistoryItem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person (or another agent) spoke to the agent.
    User,
    /// The agent spoke.
    Assistant,
}
