//! How a request is refused.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>

use http::StatusCode;
use ruma::api::error::ErrorKind;

/// An answer that says no.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error code, with what belongs to it.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal with this status, code and sentence.
    pub fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    /// 400 with any code.
    pub fn bad_request(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::bad_request(ErrorKind::InvalidParam, message)
    }

    /// 400 `M_BAD_JSON`.
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::bad_request(ErrorKind::BadJson, message)
    }
}
