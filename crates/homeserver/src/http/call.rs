//! One request, parsed: ruma's request type, who calls, and the few facts that ruma's types do not carry.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, request::Parts};
use ruma::api::{
    IncomingRequest, IncomingRequestExt, Metadata,
    auth_scheme::extract_bearer_or_query_token,
    error::{DeserializationError, ErrorKind, FromHttpRequestError},
};
use system::connections::Connection;
use tokio_util::sync::CancellationToken;

use super::{
    auth::IdentifyCaller,
    body::{self, BodyPermits, LONG_BODY_BYTES},
    body_limit::BodyLimit,
    client_ip, guests, json, lenient, rate_limit,
};
use crate::{
    caller::RequestMetadata,
    error::{Error, Result},
    holder::Holder,
    permits::Permit,
    services::Services,
};

/// One request.
#[derive(Debug)]
pub struct Call<R>
where
    R: IncomingRequest,
    R::Authentication: IdentifyCaller,
{
    /// What is asked.
    pub body: R,
    /// Who asks.
    pub caller: <R::Authentication as IdentifyCaller>::By,
    /// What else is known.
    pub facts: RequestMetadata,
}

/// All that is known before the body is read.
pub(super) fn facts_of(
    services: &Services,
    parts: &Parts,
    disconnected: CancellationToken,
) -> RequestMetadata {
    let token = extract_bearer_or_query_token(&Request::from_parts(parts.clone(), ()))
        .ok()
        .flatten();
    RequestMetadata {
        token: token.filter(|token| !token.is_empty()),
        ip: client_ip::of(parts, &services.config.proxies),
        connection: parts.extensions.get::<Connection>().cloned(),
        disconnected,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        bytes: Bytes::new(),
    }
}

impl<R> Call<R>
where
    R: IncomingRequest + Metadata,
    R::Authentication: IdentifyCaller,
{
    /// Authenticates, reads the body within its limit, parses. The call holds the permits until it is answered.
    pub(super) async fn read(
        services: &Services,
        request: Request<Body>,
        path_args: Vec<String>,
        limit: BodyLimit,
        disconnected: CancellationToken,
    ) -> Result<(Self, BodyPermits)>
    where
        R: Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let mut facts = facts_of(services, &parts, disconnected);
        let caller = Self::caller_of(services, &parts, &facts).await?;
        let holder = <R::Authentication as IdentifyCaller>::holder(&caller, &facts);
        let has_token = !matches!(holder, Holder::Address(_));
        let max_bytes = limit.bytes(has_token, services.config.listen.max_request_size.as_len());
        let read = services.body_pools.read(body, &holder, max_bytes).await?;
        let (bytes, permits) = read.into_parts();
        let is_long = bytes.len() > LONG_BODY_BYTES;
        facts.bytes = bytes;
        let parse = move || {
            json::check(&facts.bytes)?;
            facts.bytes = lenient::normalize(&parts.method, &facts.path, facts.bytes);
            Self::parsed(parts, &path_args, caller, facts)
        };
        let call = if is_long {
            let turn = services.body_pools.acquire_parse_permit(&holder).await?;
            off_the_workers(parse, (permits, turn)).await?
        } else {
            (parse()?, permits)
        };
        Ok(call)
    }

    /// Who calls, within their rate.
    async fn caller_of(
        services: &Services,
        parts: &Parts,
        facts: &RequestMetadata,
    ) -> Result<<R::Authentication as IdentifyCaller>::By> {
        let caller = <R::Authentication as IdentifyCaller>::identify(
            &services.accounts,
            &services.appservices,
            facts,
        )
        .await?;
        if let Some(connection) = &facts.connection {
            // Behind a proxy the address of the connection does not say who it is.
            connection.attribute(&<R::Authentication as IdentifyCaller>::holder(
                &caller, facts,
            ));
        }
        guests::enforce(parts, R::Authentication::caller(&caller))?;
        rate_limit::enforce(services, parts, R::Authentication::caller(&caller))?;
        Ok(caller)
    }

    /// The same for a request whose body is not JSON: it is not read here, but by the handler.
    pub(super) async fn begin(
        services: &Services,
        request: Request<Body>,
        path_args: &[String],
        limit: BodyLimit,
        disconnected: CancellationToken,
    ) -> Result<(Self, Body)> {
        let (parts, body) = request.into_parts();
        let facts = facts_of(services, &parts, disconnected);
        let caller = Self::caller_of(services, &parts, &facts).await?;
        let max_request_size = services.config.listen.max_request_size.as_len();
        body::check_announced_length(&body, limit.bytes(true, max_request_size))?;
        Ok((Self::parsed(parts, path_args, caller, facts)?, body))
    }

    /// On whose behalf the request is polled: the user as whom it acts. The users of one application service do not wait for each
    /// other.
    pub(super) fn acts_for(&self) -> Holder {
        match <R::Authentication as IdentifyCaller>::user(&self.caller) {
            Some(user) => Holder::User(user.to_owned()),
            None => Holder::anonymous(self.facts.ip),
        }
    }

    fn parsed(
        parts: Parts,
        path_args: &[String],
        caller: <R::Authentication as IdentifyCaller>::By,
        facts: RequestMetadata,
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
        DeserializationError::Json(error) if error.to_string().contains("missing field") => {
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
