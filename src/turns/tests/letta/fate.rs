//! What becomes of a call to the scripted Letta.

use std::time::Duration;

use letta_client::{
    ApprovalRequest, BackendError, FailureKind, MessageId, MissingResource, ToolCall,
};

/// After so long without an answer the real client gives a call up.
pub(super) const SILENT_AFTER: Duration = Duration::from_mins(1);

/// What becomes of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::turns::tests) enum Fate {
    /// It is answered.
    Well,
    /// Letta fails, with this status.
    Letta(u16),
    /// A proxy answers in Letta's place, with this status.
    Proxy(u16),
    /// Letta asks to come back after so many seconds.
    Later(u64),
    /// The conversation is not known.
    ConversationGone,
    /// Nothing comes until the client gives it up.
    Hang,
    /// The answer breaks off in the middle; the run goes on and can be taken up again.
    Close,
    /// The run is named and then lost.
    LoseRun,
    /// A tool call waits for a decision, says Letta in the stream.
    Waits,
    /// The same, before it takes anything.
    WaitsBefore,
    /// The agent asks whether a tool may run.
    Asks,
    /// The same, in a run whose stream breaks off before.
    CloseAndAsks,
    /// The model provider refuses, in the stream.
    Fail(FailureKind),
    /// It fails inside, after a minute.
    FailLate,
    /// It is begun, and goes on until the turn is stopped.
    Endless,
    /// It is begun and says nothing.
    Mute,
    /// It is begun, and its tool does not return.
    Tool,
    /// Something else runs in the conversation.
    Busy,
    /// The model provider fails, and Letta asks it again after each of these waits, in milliseconds, before the answer comes.
    Retries(Vec<u64>),
    /// The same, and then nothing more comes.
    RetriesInVain(Vec<u64>),
    /// The connection is lost in the middle of the answer; the run can be taken up again.
    Interrupt,
}

/// What keeps a call from being taken; nothing if that is no such fate.
pub(super) async fn fail(fate: &Fate) -> Result<(), BackendError> {
    Err(match *fate {
        Fate::Letta(status) => BackendError::ServerError {
            status,
            detail: String::new(),
            retry_after: None,
        },
        Fate::Proxy(status) => BackendError::NotLetta {
            status,
            detail: String::new(),
            retry_after: None,
        },
        Fate::Later(seconds) => BackendError::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        },
        Fate::ConversationGone => missing(MissingResource::Conversation),
        Fate::WaitsBefore => BackendError::ApprovalPending,
        Fate::Busy => BackendError::Busy { run: None },
        Fate::Hang => {
            tokio::time::sleep(SILENT_AFTER).await;
            BackendError::Silent {
                after: SILENT_AFTER,
            }
        }
        Fate::Close => unreachable(),
        _ => return Ok(()),
    })
}

pub(super) fn missing(missing: MissingResource) -> BackendError {
    BackendError::NotFound {
        missing,
        what: "it".to_owned(),
    }
}

pub(super) fn unreachable() -> BackendError {
    BackendError::Unreachable {
        url: "http://letta.test".to_owned(),
        source: "the connection broke".into(),
    }
}

pub(super) fn call() -> ToolCall {
    ToolCall {
        id: "call-1".parse().unwrap(),
        name: "launch".to_owned(),
        arguments: "{}".to_owned(),
    }
}

pub(super) fn request() -> ApprovalRequest {
    ApprovalRequest {
        id: MessageId::parse("message-9").unwrap(),
        calls: vec![call()],
    }
}
