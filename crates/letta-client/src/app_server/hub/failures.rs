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
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// One failure is told to several who wait.
pub(super) fn copy(error: &BackendError) -> BackendError {
    match error {
        BackendError::Unreachable { url, source } => BackendError::Unreachable {
            url: url.clone(),
            source: chain(source.as_ref()).into(),
        },
        BackendError::Silent { after } => BackendError::Silent { after: *after },
        BackendError::Unauthorized => BackendError::Unauthorized,
        BackendError::ServerError { status, detail } => BackendError::ServerError {
            status: *status,
            detail: detail.clone(),
        },
        BackendError::Moved { to } => BackendError::Moved { to: to.clone() },
        BackendError::NotFound { what } => BackendError::NotFound { what: what.clone() },
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
