//! What the scripted Letta streams.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use letta_client::{
    BackendError, FailureKind, MessageId, StopReason, TurnEvent, TurnFailure, TurnStream,
};

use super::fate::request;

/// The end of a run whose agent asks whether a tool may run.
pub(super) fn asks() -> [Result<TurnEvent, BackendError>; 2] {
    [
        Ok(TurnEvent::Approval(request())),
        Ok(TurnEvent::Finished(StopReason::NeedsApproval)),
    ]
}

/// The end of a run whose model provider failed.
pub(super) fn failed(kind: FailureKind) -> TurnEvent {
    TurnEvent::Finished(StopReason::Failed(TurnFailure {
        code: "LLM_ERROR".to_owned(),
        detail: String::new(),
        kind,
    }))
}

pub(super) fn text(message: &str, delta: &str) -> TurnEvent {
    TurnEvent::Text {
        message: MessageId::parse(message).unwrap(),
        delta: delta.to_owned(),
    }
}

pub(super) fn events(items: Vec<Result<TurnEvent, BackendError>>) -> TurnStream {
    stream::iter(items).boxed()
}

/// The model provider fails again and again; each failure comes after the wait that the one before it has named.
pub(super) fn retries(started: Result<TurnEvent, BackendError>, waits: &[u64]) -> TurnStream {
    let failures: Vec<_> = waits.iter().copied().map(Duration::from_millis).collect();
    let failures = stream::iter(failures).flat_map(|delay| {
        let kind = FailureKind::RateLimited { retry_after: None };
        let failed = stream::iter([Ok(TurnEvent::Retrying { kind, delay })]);
        let waits = stream::once(tokio::time::sleep(delay)).filter_map(|()| async { None });
        failed.chain(waits)
    });
    stream::iter([started]).chain(failures).boxed()
}

/// The same without an end.
pub(super) fn unfinished(items: Vec<Result<TurnEvent, BackendError>>) -> TurnStream {
    stream::iter(items).chain(stream::pending()).boxed()
}
