//! One request, parsed: ruma's request type, who calls, and the few facts that ruma's types do not carry.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use http::{Request, request::Parts};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::{
        IncomingRequest, IncomingRequestExt, Metadata,
        auth_scheme::extract_bearer_or_query_token,
        error::{DeserializationError, ErrorKind, FromHttpRequestError},
    },
};

use super::{auth::Identified, client_ip, lenient};
use crate::{
    error::{Error, Result},
    server::Server,
};

/// The largest depth of nested JSON in a request. Events have their own limits.
const JSON_MAX_DEPTH: usize = 100;

/// One request.
#[derive(Debug)]
pub struct Call<R>
where
    R: IncomingRequest,
    R::Authentication: Identified,
{
    /// What is asked.
    pub body: R,
    /// Who asks.
    pub caller: <R::Authentication as Identified>::By,
    /// What else is known.
    pub facts: CallFacts,
}

/// What is known of a request besides its typed content.
#[derive(Debug)]
pub struct CallFacts {
    /// The access token, from the header or the query.
    pub token: Option<String>,
    /// The address of the client, if it is known: behind a trusted proxy the one that the proxy names.
    pub ip: Option<IpAddr>,
    /// The path as it was asked, without the query.
    pub path: String,
    /// The query as it was asked.
    pub query: String,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub bytes: Bytes,
}

impl CallFacts {
    /// The first value of this name in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Whether the request only logs out, which people who are locked out may do, too.
    pub fn ends_sessions(&self) -> bool {
        self.path.ends_with("/logout") || self.path.ends_with("/logout/all")
    }

    /// The time that an application service gives an event with `ts=`.
    ///
    /// # Errors
    ///
    /// 400 if it is no time.
    pub fn massaged_time(
        &self,
        caller: &super::Caller,
    ) -> Result<Option<MilliSecondsSinceUnixEpoch>> {
        if caller.appservice.is_none() {
            return Ok(None);
        }
        let Some(text) = self.query_value("ts") else {
            return Ok(None);
        };
        let time: UInt = text
            .parse()
            .map_err(|_| Error::bad_json("ts is a number of milliseconds since 1970"))?;
        Ok(Some(MilliSecondsSinceUnixEpoch(time)))
    }
}

impl<R> Call<R>
where
    R: IncomingRequest + Metadata,
    R::Authentication: Identified,
{
    /// Limits, authenticates, parses.
    pub(super) async fn read(
        server: &Server,
        request: Request<Body>,
        path_args: &[String],
        body_max_bytes: usize,
    ) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let facts = facts(server, &parts, Bytes::new());
        let caller = <R::Authentication as Identified>::identify(server, &facts).await?;
        let bytes = lenient::mend(&parts, read_body(body, body_max_bytes).await?);
        check_json(&bytes)?;
        Self::parsed(parts, path_args, caller, CallFacts { bytes, ..facts })
    }

    /// The same for a request whose body is not JSON: it is not read here, but by the handler.
    pub(super) async fn begin(
        server: &Server,
        request: Request<Body>,
        path_args: &[String],
    ) -> Result<(Self, Body)> {
        let (parts, body) = request.into_parts();
        let facts = facts(server, &parts, Bytes::new());
        let caller = <R::Authentication as Identified>::identify(server, &facts).await?;
        Ok((Self::parsed(parts, path_args, caller, facts)?, body))
    }

    fn parsed(
        parts: Parts,
        path_args: &[String],
        caller: <R::Authentication as Identified>::By,
        facts: CallFacts,
    ) -> Result<Self> {
        let args: Vec<&str> = path_args.iter().map(String::as_str).collect();
        let request = Request::from_parts(parts, &facts.bytes[..]);
        let body = R::try_from_http_request(request, &args).map_err(unreadable)?;
        Ok(Self {
            body,
            caller,
            facts,
        })
    }
}

fn facts(server: &Server, parts: &Parts, bytes: Bytes) -> CallFacts {
    let token = extract_bearer_or_query_token(&Request::from_parts(parts.clone(), ()))
        .ok()
        .flatten();
    CallFacts {
        token: token.filter(|token| !token.is_empty()),
        ip: client_ip::of(parts, &server.config.proxies),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        bytes,
    }
}

async fn read_body(body: Body, max_bytes: usize) -> Result<Bytes> {
    let read = Limited::new(body, max_bytes).collect().await;
    read.map(Collected::to_bytes)
        .map_err(|error| unread(&*error, max_bytes))
}

/// The body, piece by piece as it comes.
pub fn pieces(body: Body, max_bytes: usize) -> BoxStream<'static, Result<Bytes>> {
    let pieces = Limited::new(body, max_bytes).into_data_stream();
    pieces
        .map(move |piece| piece.map_err(|error| unread(&*error, max_bytes)))
        .boxed()
}

/// Why a body cannot be read to its end.
fn unread(error: &(dyn std::error::Error + Send + Sync + 'static), max_bytes: usize) -> Error {
    if error.is::<LengthLimitError>() {
        return Error::too_large(format!(
            "The body of this request can have {max_bytes} bytes"
        ));
    }
    Error::bad_request(
        ErrorKind::Unknown,
        format!("The request ended early: {error}"),
    )
}

/// Refuses JSON that is nested deeper than anybody needs, before a parser follows it down, and JSON that only looks like it.
///
/// What is passed on as it came (messages to devices, account data) is not looked at by ruma, so a number without end or half
/// a surrogate pair in it would make the sync of whoever gets it unreadable. The type that a request claims does not matter: it
/// is read as JSON all the same.
fn check_json(bytes: &[u8]) -> Result<()> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_MAX_DEPTH {
            return Err(Error::bad_json(format!(
                "JSON can be nested {JSON_MAX_DEPTH} levels deep"
            )));
        }
    }
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::bad_request(
            ErrorKind::NotJson,
            format!("The body is not JSON: {error}"),
        )),
    }
}

/// What is wrong with a request that ruma cannot read.
fn unreadable(error: FromHttpRequestError) -> Error {
    let FromHttpRequestError::Deserialization(error) = error else {
        return Error::unrecognized();
    };
    match error {
        DeserializationError::Json(error)
            if error.is_data() && error.to_string().starts_with("missing field") =>
        {
            Error::bad_request(ErrorKind::MissingParam, error.to_string())
        }
        DeserializationError::Json(error) if error.is_data() => Error::bad_json(error.to_string()),
        DeserializationError::Json(error) => {
            Error::bad_request(ErrorKind::NotJson, error.to_string())
        }
        DeserializationError::Utf8(error) => {
            Error::bad_request(ErrorKind::NotJson, error.to_string())
        }
        error => Error::invalid(error.to_string()),
    }
}
