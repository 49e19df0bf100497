//! Refusals in the specification's words: an HTTP status, an `M_…` code and a sentence.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ruma::api::error::ErrorKind;
use serde_json::json;

use crate::journal::JournalError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("the hs_token is missing")]
    MissingToken,
    #[error("the hs_token is wrong")]
    WrongToken,
    #[error("this bridge has no such {0}")]
    NotFound(&'static str),
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not what the specification says: {0}")]
    BadJson(&'static str),
    #[error("the body is larger than {} bytes", super::BODY_BYTES_MAX)]
    TooLarge,
    #[error("unknown endpoint")]
    Unrecognized,
    #[error("unknown method for this endpoint")]
    WrongMethod,
    #[error("the bridge cannot write down what it gets; try again later")]
    Journal(#[source] JournalError),
}

impl ApiError {
    fn parts(&self) -> (StatusCode, ErrorKind) {
        match self {
            Self::MissingToken => (StatusCode::UNAUTHORIZED, ErrorKind::MissingToken),
            Self::WrongToken => (StatusCode::FORBIDDEN, ErrorKind::Forbidden),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            Self::NotJson => (StatusCode::BAD_REQUEST, ErrorKind::NotJson),
            Self::BadJson(_) => (StatusCode::BAD_REQUEST, ErrorKind::BadJson),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge),
            Self::Unrecognized => (StatusCode::NOT_FOUND, ErrorKind::Unrecognized),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, ErrorKind::Unrecognized),
            Self::Journal(_) => (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unknown),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Journal(failure) = &self {
            tracing::error!(
                error = failure as &dyn std::error::Error,
                "could not store a transaction; the homeserver retries it"
            );
        }
        let (status, kind) = self.parts();
        let body = json!({ "errcode": kind.errcode().as_str(), "error": self.to_string() });
        (status, Json(body)).into_response()
    }
}

/// Any path that is not ours.
pub(super) async fn unrecognized() -> ApiError {
    ApiError::Unrecognized
}

/// A path of ours with a method that it does not have.
pub(super) async fn wrong_method() -> ApiError {
    ApiError::WrongMethod
}
