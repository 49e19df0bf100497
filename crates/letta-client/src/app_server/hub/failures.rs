//! One failure, told to all who wait.

use super::Call;
use crate::error::BackendError;

/// A call that cannot be carried out.
pub(super) fn refuse(call: Call, why: BackendError) {
    match call {
        Call::Plain(_, reply) => drop(reply.send(Err(why))),
        Call::Subscribe(.., reply) => drop(reply.send(Err(why))),
        Call::Send(.., reply) | Call::Decide(.., reply) | Call::Resume(.., reply) => {
            drop(reply.send(Err(why)));
        }
        Call::Pending(_, reply) => drop(reply.send(Err(why))),
        Call::Cancel(_, reply) => drop(reply.send(Err(why))),
    }
}

/// What happened, and why, in one line.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// One failure is told to several who wait.
pub(super) fn clone_error(error: &BackendError) -> BackendError {
    match error {
        BackendError::Unreachable { url, source } => BackendError::Unreachable {
            url: url.clone(),
            source: error_chain(source.as_ref()).into(),
        },
        BackendError::Silent { after } => BackendError::Silent { after: *after },
        BackendError::Unauthorized => BackendError::Unauthorized,
        BackendError::ServerError {
            status,
            detail,
            retry_after,
        } => BackendError::ServerError {
            status: *status,
            detail: detail.clone(),
            retry_after: *retry_after,
        },
        BackendError::NotLetta {
            status,
            detail,
            retry_after,
        } => BackendError::NotLetta {
            status: *status,
            detail: detail.clone(),
            retry_after: *retry_after,
        },
        BackendError::RateLimited { retry_after } => BackendError::RateLimited {
            retry_after: *retry_after,
        },
        BackendError::QuotaExceeded { reason } => BackendError::QuotaExceeded {
            reason: reason.clone(),
        },
        BackendError::Model { failure } => BackendError::Model {
            failure: failure.clone(),
        },
        BackendError::NotPending => BackendError::NotPending,
        BackendError::ApprovalPending => BackendError::ApprovalPending,
        BackendError::Busy { run } => BackendError::Busy { run: run.clone() },
        BackendError::Moved { to } => BackendError::Moved { to: to.clone() },
        BackendError::NotFound { missing, what } => BackendError::NotFound {
            missing: *missing,
            what: what.clone(),
        },
        BackendError::Refused { status, detail } => BackendError::Refused {
            status: *status,
            detail: detail.clone(),
        },
        other => BackendError::Protocol {
            detail: match other {
                BackendError::Protocol { detail } => detail.clone(),
                other => other.to_string(),
            },
        },
    }
}
