//! Requests that ruma has no types for: those of proposals, and of Synapse's admin API. Their handlers read path, query and body.

use std::{fmt, marker::PhantomData};

use http::Method;
use ruma::api::{
    IncomingRequest, Metadata,
    auth_scheme::AccessToken,
    error::{DeserializationError, Error},
    path_builder::SinglePath,
};

use super::untyped::Json;
use crate::error::{Error as ServerError, Result};

/// Where such a request goes to.
pub(super) trait Endpoint: fmt::Debug + Send + Sync + 'static {
    /// The method.
    const METHOD: Method;
    /// The path, with the names of its arguments in braces.
    const PATH: &'static str;
}

/// A request to `E` with an access token, which is answered with any JSON.
#[derive(Debug)]
pub(super) struct UntypedRequest<E> {
    /// The arguments of the path, decoded.
    path_args: Vec<String>,
    endpoint: PhantomData<fn() -> E>,
}

impl<E> UntypedRequest<E> {
    /// The arguments of the path, in its order. An endpoint knows how many it has.
    pub(super) fn path_args<const N: usize>(self) -> Result<[String; N]> {
        self.path_args
            .try_into()
            .map_err(|args| ServerError::Broken(format!("a path has other arguments: {args:?}")))
    }
}

impl<E: Endpoint> Metadata for UntypedRequest<E> {
    const METHOD: Method = E::METHOD;
    const RATE_LIMITED: bool = true;
    type Authentication = AccessToken;
    type PathBuilder = SinglePath;
    const PATH_BUILDER: SinglePath = SinglePath::new(E::PATH);
}

impl<E: Endpoint> IncomingRequest for UntypedRequest<E> {
    type EndpointError = Error;
    type OutgoingResponse = Json;

    fn try_from_http_request_inner(
        _: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> std::result::Result<Self, DeserializationError> {
        Ok(Self {
            path_args: path_args.iter().map(|&arg| arg.to_owned()).collect(),
            endpoint: PhantomData,
        })
    }
}
