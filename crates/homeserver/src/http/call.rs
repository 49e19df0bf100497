//! One request, parsed: ruma's request type, who calls, and the few facts that ruma's types do not carry.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, request::Parts};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::{
        IncomingRequest, IncomingRequestExt, Metadata,
        auth_scheme::extract_bearer_or_query_token,
        error::{DeserializationError, ErrorKind, FromHttpRequestError},
    },
};
use system::connections::Connection;
use tokio_util::sync::CancellationToken;

use super::{
    auth::Identified,
    body::{self, BodyPermits, LONG_BODY_BYTES},
    body_limit::BodyLimit,
    client_ip, json, lenient, rate_limit,
};
use crate::{
    error::{Error, Result},
    holder::Holder,
    permits::Permit,
    server::Server,
};

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
    /// The connection, if the request has come over one.
    pub connection: Option<Connection>,
    /// Cancelled when the client disconnects.
    pub disconnected: CancellationToken,
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
    /// All that is known before the body is read.
    pub(super) fn of(server: &Server, parts: &Parts, disconnected: CancellationToken) -> Self {
        let token = extract_bearer_or_query_token(&Request::from_parts(parts.clone(), ()))
            .ok()
            .flatten();
        Self {
            token: token.filter(|token| !token.is_empty()),
            ip: client_ip::of(parts, &server.config.proxies),
            connection: parts.extensions.get::<Connection>().cloned(),
            disconnected,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            bytes: Bytes::new(),
        }
    }

    /// Who holds what is given to somebody who is not known.
    pub fn anonymous_holder(&self) -> Holder {
        Holder::anonymous(self.ip)
    }

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
    /// Authenticates, reads the body within its limit, parses. The call holds the permits until it is answered.
    pub(super) async fn read(
        server: &Server,
        request: Request<Body>,
        path_args: Vec<String>,
        limit: BodyLimit,
        disconnected: CancellationToken,
    ) -> Result<(Self, BodyPermits)>
    where
        R: Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let mut facts = CallFacts::of(server, &parts, disconnected);
        let caller = <R::Authentication as Identified>::identify(server, &facts).await?;
        if let Some(connection) = &facts.connection {
            // Behind a proxy the address of the connection does not say who it is.
            connection.attribute(&<R::Authentication as Identified>::holder(&caller, &facts));
        }
        rate_limit::enforce(server, &parts, R::Authentication::caller(&caller))?;
        let holder = <R::Authentication as Identified>::holder(&caller, &facts);
        let has_token = !matches!(holder, Holder::Address(_));
        let max_bytes = limit.bytes(has_token, server.config.listen.max_request_size.as_len());
        let read = server.body_pools.read(body, &holder, max_bytes).await?;
        let (bytes, permits) = read.into_parts();
        let is_long = bytes.len() > LONG_BODY_BYTES;
        facts.bytes = bytes;
        let parse = move || {
            json::check(&facts.bytes)?;
            facts.bytes = lenient::mend(&parts.method, &facts.path, facts.bytes);
            Self::parsed(parts, &path_args, caller, facts)
        };
        let call = if is_long {
            let turn = server.body_pools.parse_turn(&holder).await?;
            off_the_workers(parse, (permits, turn)).await?
        } else {
            (parse()?, permits)
        };
        Ok(call)
    }

    /// The same for a request whose body is not JSON: it is not read here, but by the handler.
    pub(super) async fn begin(
        server: &Server,
        request: Request<Body>,
        path_args: &[String],
        limit: BodyLimit,
        disconnected: CancellationToken,
    ) -> Result<(Self, Body)> {
        let (parts, body) = request.into_parts();
        let facts = CallFacts::of(server, &parts, disconnected);
        let caller = <R::Authentication as Identified>::identify(server, &facts).await?;
        if let Some(connection) = &facts.connection {
            // Behind a proxy the address of the connection does not say who it is.
            connection.attribute(&<R::Authentication as Identified>::holder(&caller, &facts));
        }
        rate_limit::enforce(server, &parts, R::Authentication::caller(&caller))?;
        let max_request_size = server.config.listen.max_request_size.as_len();
        body::refuse_longer(&body, limit.bytes(true, max_request_size))?;
        Ok((Self::parsed(parts, path_args, caller, facts)?, body))
    }

    /// On whose behalf the request is polled: the user as whom it acts. The users of one application service do not wait for each
    /// other.
    pub(super) fn acts_for(&self) -> Holder {
        match <R::Authentication as Identified>::user(&self.caller) {
            Some(user) => Holder::User(user.to_owned()),
            None => Holder::anonymous(self.facts.ip),
        }
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

/// Parses on a thread that may block. The permits of the body stay taken until the thread is done, even if nobody waits for it.
async fn off_the_workers<T: Send + 'static>(
    parse: impl FnOnce() -> Result<T> + Send + 'static,
    permits: (BodyPermits, Permit),
) -> Result<(T, BodyPermits)> {
    let parsing = tokio::task::spawn_blocking(move || (parse(), permits));
    let (parsed, (permits, _turn)) = parsing
        .await
        .map_err(|error| Error::Broken(format!("a body could not be parsed: {error}")))?;
    Ok((parsed?, permits))
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
