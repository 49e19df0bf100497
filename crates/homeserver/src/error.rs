//! What a client is told when something is not done.
//!
//! A [`Refusal`] is an answer: an HTTP status, an error code of the specification and a sentence. Everything else is a fault of
//! ours: the client learns only that there was one, the log learns which.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>

use std::time::Duration;

use http::StatusCode;
use ruma::api::{
    client::uiaa::UiaaInfo,
    error::{ErrorKind, LimitExceededErrorData, RetryAfter},
};
use system::disk;

pub use homeserver_model::Refusal;

use crate::store::StoreError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request may not or cannot be done.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The caller has to prove more first.
    #[error("the request has to be authorized in further steps")]
    Interactive(Box<UiaaInfo>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else of ours failed.
    #[error("{0}")]
    Broken(String),
}

/// The result of most operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with this status, code and sentence.
    pub fn refused(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Refusal::new(status, kind, message).into()
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::FORBIDDEN, ErrorKind::Forbidden, message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, ErrorKind::InvalidParam, message)
    }

    /// 400 `M_BAD_JSON`.
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, ErrorKind::BadJson, message)
    }

    /// 400 with any code.
    pub fn bad_request(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, kind, message)
    }

    /// 404 `M_UNRECOGNIZED`: this server does not know the endpoint.
    pub fn unrecognized() -> Self {
        Self::refused(
            StatusCode::NOT_FOUND,
            ErrorKind::Unrecognized,
            "this server does not know this endpoint",
        )
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, message)
    }

    /// 429 `M_LIMIT_EXCEEDED`, with the time after which it is worth another attempt.
    pub fn limit_exceeded(wait: Duration, message: impl Into<String>) -> Self {
        let mut data = LimitExceededErrorData::new();
        // Whole seconds, rounded up: the header of HTTP knows no smaller ones.
        let seconds = wait.as_millis().div_ceil(1_000);
        let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
        data.retry_after = Some(RetryAfter::Delay(wait));
        Self::refused(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::LimitExceeded(data),
            message,
        )
    }

    /// Whether nothing can be saved at the moment: the database or the disk of files refuses.
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Store(StoreError::Unwritable(_)) => true,
            Self::Store(StoreError::File(error)) => disk::is_full(error),
            _ => false,
        }
    }

    /// Whether the work was given up because nobody waits for it any more.
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Self::Store(StoreError::Abandoned))
    }

    /// Whether this is a refusal with the status 404.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == StatusCode::NOT_FOUND)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(format!(
            "JSON of our own could not be read or written: {error}"
        ))
    }
}
