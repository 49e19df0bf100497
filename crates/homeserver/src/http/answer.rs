//! From results to HTTP responses.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use ruma::api::{
    OutgoingResponse, OutgoingResponseExt,
    error::{ErrorBody, ErrorKind, StandardErrorBody},
};

use super::required_keys::{self, RequiredKey};
use crate::error::{Error, Refusal};

/// The response of a handler as bytes.
pub fn response<R: OutgoingResponse>(outcome: Result<R, Error>) -> Response<Body> {
    response_with(&[], outcome)
}

/// The response of a handler as bytes, with the keys that it has to have.
pub(super) fn response_with<R: OutgoingResponse>(
    keys: &[RequiredKey],
    outcome: Result<R, Error>,
) -> Response<Body> {
    match outcome {
        Ok(answer) => match answer.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(|body| required_keys::complete(keys, body).into()),
            Err(error) => error_response(Error::Broken(format!(
                "a response could not be written: {error}"
            ))),
        },
        Err(error) => error_response(error),
    }
}

/// An error as the client sees it. What is our fault is said in the log, once, here.
pub fn error_response(error: Error) -> Response<Body> {
    let (status, body) = match error {
        Error::Refused(refusal) => return refusal_response(*refusal),
        Error::Interactive(info) => (StatusCode::UNAUTHORIZED, serde_json::to_vec(&info)),
        error if error.is_unwritable() => {
            tracing::debug!(%error, "request refused: the store cannot be written");
            let refusal = Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                kind: ErrorKind::Unknown,
                message: "The server cannot save anything at the moment, and has changed nothing. \
                          Try again later; its log says why"
                    .to_owned(),
            };
            return refusal_response(refusal);
        }
        error => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            if error.is_abandoned() {
                tracing::debug!(%error, "request given up: nobody waits for its answer");
            } else {
                tracing::error!(%error, cause, "could not answer a request");
            }
            let refusal = Refusal {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                kind: ErrorKind::Unknown,
                message: "The server could not do this; its log says why".to_owned(),
            };
            return refusal_response(refusal);
        }
    };
    json(status, body.unwrap_or_default())
}

fn refusal_response(refusal: Refusal) -> Response<Body> {
    let body = ErrorBody::Standard(StandardErrorBody::new(refusal.kind, refusal.message));
    match body
        .into_error(refusal.status)
        .try_into_http_response::<Vec<u8>>()
    {
        Ok(response) => response.map(Body::from),
        Err(_) => json(refusal.status, br#"{"errcode":"M_UNKNOWN"}"#.to_vec()),
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
