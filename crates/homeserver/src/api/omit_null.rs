//! Answers that leave out what they do not have, where ruma's types say `null` and the specification does not know it.

use ruma::api::{
    BytesBody, IncomingRequest, Metadata, OutgoingResponse, OutgoingResponseExt,
    error::{DeserializationError, IntoHttpError},
};
use serde_json::{Map, Value};

/// The request `R`, whose answer is [`OmitNull`].
#[derive(Debug)]
pub(super) struct WithNullsOmitted<R>(pub(super) R);

/// The answer `A` without anything that is `null`.
#[derive(Debug)]
pub(super) struct OmitNull<A>(pub(super) A);

impl<R: Metadata> Metadata for WithNullsOmitted<R> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for WithNullsOmitted<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = OmitNull<R::OutgoingResponse>;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        R::try_from_http_request_inner(request, path_args).map(Self)
    }
}

impl<A: OutgoingResponse> OutgoingResponse for OmitNull<A> {
    type Body = BytesBody;

    fn try_into_http_response_inner(self) -> Result<http::Response<BytesBody>, IntoHttpError> {
        let (parts, body) = self.0.try_into_http_response::<Vec<u8>>()?.into_parts();
        let mut answer: Map<String, Value> = serde_json::from_slice(&body)?;
        answer.retain(|_, value| !value.is_null());
        let body = BytesBody(serde_json::to_vec(&answer)?);
        Ok(http::Response::from_parts(parts, body))
    }
}
