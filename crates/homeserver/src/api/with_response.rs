//! A request of ruma's with an answer of our own, where ruma's answer cannot say what the specification has.

use std::marker::PhantomData;

use ruma::api::{IncomingRequest, Metadata, OutgoingResponse, error::DeserializationError};

/// The request `R`, read as ruma reads it, which is answered with an `A`.
#[derive(Debug)]
pub(super) struct WithResponse<R, A> {
    /// What is asked.
    pub(super) request: R,
    answer: PhantomData<fn() -> A>,
}

impl<R: Metadata, A> Metadata for WithResponse<R, A> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest, A: OutgoingResponse> IncomingRequest for WithResponse<R, A> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = A;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        Ok(Self {
            request: R::try_from_http_request_inner(request, path_args)?,
            answer: PhantomData,
        })
    }
}
