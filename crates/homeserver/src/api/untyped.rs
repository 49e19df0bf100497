//! Answers that the specification has and ruma's types do not, for endpoints whose requests ruma does read.

use std::marker::PhantomData;

use bytes::BufMut;
use http::{HeaderValue, Method, Response};
use ruma::api::{
    IncomingRequest, Metadata, OutgoingBody, OutgoingResponse,
    error::{DeserializationError, IntoHttpError},
};
use serde_json::Value;

/// The request `R`, which is answered with any JSON.
#[derive(Debug)]
pub(super) struct Untyped<R>(PhantomData<fn() -> R>);

/// An answer.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

impl<R: Metadata> Metadata for Untyped<R> {
    const METHOD: Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for Untyped<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = Json;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        R::try_from_http_request_inner(request, path_args)?;
        Ok(Self(PhantomData))
    }
}

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
