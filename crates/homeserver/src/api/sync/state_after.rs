//! `/sync` for clients that ask for the state after the timeline by the name that it had before it was specified.
//!
//! matrix-js-sdk asks with that name and reads the answer under it; ruma knows only the one of the specification. Everything else
//! is ruma's. Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4222>

use std::collections::BTreeMap;

use http::Method;
use ruma::api::{
    BytesBody, IncomingRequest, Metadata, OutgoingResponse, OutgoingResponseExt,
    client::sync::sync_events::v3,
    error::{DeserializationError, IntoHttpError},
};
use serde_json::value::{RawValue, to_raw_value};

/// How the state after the timeline is asked for.
const ASKED: &str = "org.matrix.msc4222.use_state_after";
/// Where those who ask like this look for it.
const TOLD: &str = "org.matrix.msc4222.state_after";
/// Where it is by the specification.
const SPECIFIED: &str = "state_after";

/// A sync, asked by either name.
#[derive(Debug)]
pub(super) struct Request {
    /// What is asked.
    pub(super) sync: v3::Request,
    /// Whether it was asked by the old name.
    pub(super) by_old_name: bool,
}

/// The answer, by the name that was asked with.
#[derive(Debug)]
pub(super) struct Response {
    /// What is told.
    pub(super) sync: v3::Response,
    /// Whether it was asked by the old name.
    pub(super) by_old_name: bool,
}

impl Metadata for Request {
    const METHOD: Method = v3::Request::METHOD;
    const RATE_LIMITED: bool = v3::Request::RATE_LIMITED;
    type Authentication = <v3::Request as Metadata>::Authentication;
    type PathBuilder = <v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = v3::Request::PATH_BUILDER;
}

impl IncomingRequest for Request {
    type EndpointError = <v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let query = request.uri().query().unwrap_or_default();
        let by_old_name = form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == ASKED && value == "true");
        let mut sync = v3::Request::try_from_http_request_inner(request, path_args)?;
        sync.use_state_after |= by_old_name;
        Ok(Self { sync, by_old_name })
    }
}

impl OutgoingResponse for Response {
    type Body = BytesBody;

    fn try_into_http_response_inner(self) -> Result<http::Response<BytesBody>, IntoHttpError> {
        let (parts, mut body) = self.sync.try_into_http_response::<Vec<u8>>()?.into_parts();
        if self.by_old_name {
            body = renamed(&body)?;
        }
        Ok(http::Response::from_parts(parts, BytesBody(body)))
    }
}

type Object = BTreeMap<String, Box<RawValue>>;

/// The answer with the old name in every room.
fn renamed(body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut answer: Object = serde_json::from_slice(body)?;
    if let Some(rooms) = answer.get_mut("rooms") {
        let mut kinds: BTreeMap<String, BTreeMap<String, Object>> =
            serde_json::from_str(rooms.get())?;
        for room in kinds.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(state) = room.remove(SPECIFIED) {
                room.insert(TOLD.to_owned(), state);
            }
        }
        *rooms = to_raw_value(&kinds)?;
    }
    serde_json::to_vec(&answer)
}
