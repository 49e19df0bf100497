//! Answers that the specification has and ruma's types do not, for endpoints whose requests ruma does read.

use bytes::BufMut;
use http::{HeaderValue, Response};
use ruma::api::{OutgoingBody, OutgoingResponse, error::IntoHttpError};
use serde_json::Value;

use super::with_response::WithResponse;

/// The request `R`, which is answered with any JSON.
pub(super) type Untyped<R> = WithResponse<R, Json>;

/// An answer.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

impl OutgoingResponse for Json {
    type Body = Self;

    fn try_into_http_response_inner(self) -> Result<Response<Self>, IntoHttpError> {
        Ok(Response::new(self))
    }
}

impl OutgoingBody for Json {
    type Error = IntoHttpError;

    fn content_type(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("application/json"))
    }

    fn try_into_buf<T: Default + BufMut + AsRef<[u8]>>(self) -> Result<T, IntoHttpError> {
        let mut buffer = T::default();
        buffer.put_slice(&serde_json::to_vec(&self.0)?);
        Ok(buffer)
    }
}
