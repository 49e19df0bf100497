//! One request to the homeserver, as the bot or as a ghost.
//!
//! Promises: the `as_token` is the only credential there is; a request as a ghost carries
//! `user_id=` ([identity assertion]); `429` is obeyed; what may succeed later is tried again with
//! backoff and jitter, a bounded number of times; there is no `/login` and no `/sync`.
//!
//! [identity assertion]: https://spec.matrix.org/v1.16/application-service-api/#identity-assertion

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rand::Rng;
use ruma::{
    DeviceId, UserId,
    api::{
        AppserviceUserIdentity, EndpointError, IncomingResponseExt, MatrixVersion, OutgoingRequest,
        OutgoingRequestExt, SupportedVersions,
        auth_scheme::{AuthScheme, SendAccessToken},
        error::{ErrorKind, LimitExceededErrorData, RetryAfter},
        path_builder::PathBuilder,
    },
};
use tokio::sync::Semaphore;

use super::transport::{ANSWER_BYTES_MAX, Transport, TransportError};
use crate::config::Secret;

/// The most requests under way at once.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// How often a request is sent at most by [`Homeserver::call`].
const ATTEMPTS_MAX: u32 = 5;
/// The first wait before trying again; it doubles each time.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait before trying again.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// The longest wait that a homeserver may impose with `retry_after_ms`.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// As whom a request is made.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// The appservice's own user.
    Bot,
    /// A ghost of ours.
    Ghost(&'a UserId),
    /// One of our users, as a device of theirs (MSC4326).
    Device(&'a UserId, &'a DeviceId),
}

impl<'a> Actor<'a> {
    /// What says so in a request; `None`: the access token alone does.
    fn identity(self) -> Option<AppserviceUserIdentity<'a>> {
        let (user, device) = match self {
            Self::Bot => return None,
            Self::Ghost(user) => (user, None),
            Self::Device(user, device) => (user, Some(device)),
        };
        let mut identity = AppserviceUserIdentity::new(user);
        identity.device_id = device;
        Some(identity)
    }
}

/// Why a request did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// No whole answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Too many requests.
    #[error("the homeserver asks for fewer requests")]
    RateLimited {
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// The homeserver has said no.
    #[error("the homeserver refused with {0}")]
    Refused(ruma::api::error::Error),
    /// The homeserver's answer is not what the specification says.
    #[error("cannot understand the homeserver's answer: {0}")]
    Answer(String),
    /// The request could not be written down.
    #[error("cannot make the request: {0}")]
    Request(String),
    /// What is to be sent could not be encrypted. It is not sent in the clear instead.
    #[error("cannot encrypt for the room: {0}")]
    Encryption(String),
}

impl MatrixError {
    /// Whether the same request may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(TransportError::Unreachable(_))
            | Self::RateLimited { .. }
            | Self::Encryption(_) => true,
            Self::Refused(error) => error.status_code.is_server_error(),
            Self::Transport(TransportError::TooLarge { .. })
            | Self::Answer(_)
            | Self::Request(_) => false,
        }
    }

    /// Whether the homeserver may have done what was asked although there was no good answer.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Answer(_))
            || matches!(self, Self::Refused(error) if error.status_code.is_server_error())
    }

    /// The `M_…` code of a refusal.
    pub fn kind(&self) -> Option<&ErrorKind> {
        match self {
            Self::Refused(error) => error.error_kind(),
            _ => None,
        }
    }

    /// Whether the homeserver says that a thing does not exist: `404 M_NOT_FOUND` and nothing
    /// else. A proxy whose homeserver is away says `404` too, in its own words.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(error) if error.status_code == http::StatusCode::NOT_FOUND)
            && matches!(self.kind(), Some(ErrorKind::NotFound))
    }

    /// Whether the same request would be refused for ever: the homeserver has looked at it and
    /// said no. Not so if a proxy speaks in its place, or if it does not know our token, which
    /// somebody will mend.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Request(_) => true,
            Self::Refused(error) => {
                let status = error.status_code;
                let of_a_proxy = status == http::StatusCode::NOT_FOUND && self.kind().is_none();
                status.is_client_error()
                    && status != http::StatusCode::UNAUTHORIZED
                    && status != http::StatusCode::REQUEST_TIMEOUT
                    && !of_a_proxy
            }
            Self::Transport(_)
            | Self::RateLimited { .. }
            | Self::Answer(_)
            | Self::Encryption(_) => false,
        }
    }

    /// Whether the answer is larger than was asked for.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Transport(TransportError::TooLarge { .. }))
    }

    /// Whether the homeserver says that this may not be done.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(error) if error.status_code == http::StatusCode::FORBIDDEN)
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }
}

/// The homeserver as we call it. Cheap to clone.
#[derive(Clone)]
pub struct Homeserver {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    address: String,
    as_token: Secret,
    supported: OnceLock<SupportedVersions>,
    permits: Semaphore,
    requests: AtomicU64,
}

impl Homeserver {
    /// A homeserver at `address`, for example `http://localhost:8008`.
    pub fn new(transport: Arc<dyn Transport>, address: &str, as_token: Secret) -> Self {
        Self {
            inner: Arc::new(Inner {
                transport,
                address: address.trim_end_matches('/').to_owned(),
                as_token,
                supported: OnceLock::new(),
                permits: Semaphore::new(REQUESTS_IN_FLIGHT_MAX),
                requests: AtomicU64::new(0),
            }),
        }
    }

    /// How many requests were sent since the start.
    pub fn requests_sent(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// Takes note of what the homeserver supports. Only the first note counts.
    pub(super) fn set_supported(&self, supported: SupportedVersions) {
        drop(self.inner.supported.set(supported));
    }

    pub(super) fn supported(&self) -> Cow<'_, SupportedVersions> {
        match self.inner.supported.get() {
            Some(supported) => Cow::Borrowed(supported),
            None => Cow::Owned(SupportedVersions {
                versions: [MatrixVersion::V1_1].into(),
                features: std::collections::BTreeSet::default(),
            }),
        }
    }

    /// Makes a request, and again with backoff while that may help.
    pub async fn call<R>(
        &self,
        actor: Actor<'_>,
        request: R,
    ) -> Result<R::IncomingResponse, MatrixError>
    where
        R: OutgoingRequest + Clone,
        R::Authentication: for<'a> AuthScheme<Input<'a> = SendAccessToken<'a>>,
        R::PathBuilder: for<'a> PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        self.call_within(actor, request, ANSWER_BYTES_MAX).await
    }

    /// The same, for an answer of no more than `bytes_max`.
    pub(super) async fn call_within<R>(
        &self,
        actor: Actor<'_>,
        request: R,
        bytes_max: usize,
    ) -> Result<R::IncomingResponse, MatrixError>
    where
        R: OutgoingRequest + Clone,
        R::Authentication: for<'a> AuthScheme<Input<'a> = SendAccessToken<'a>>,
        R::PathBuilder: for<'a> PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        let mut attempt = 1;
        loop {
            match self
                .call_once_within(actor, request.clone(), bytes_max)
                .await
            {
                Err(error) if error.is_transient() && attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(backoff(attempt, &error)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Makes a request, once.
    pub async fn call_once<R>(
        &self,
        actor: Actor<'_>,
        request: R,
    ) -> Result<R::IncomingResponse, MatrixError>
    where
        R: OutgoingRequest,
        R::Authentication: for<'a> AuthScheme<Input<'a> = SendAccessToken<'a>>,
        R::PathBuilder: for<'a> PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        self.call_once_within(actor, request, ANSWER_BYTES_MAX)
            .await
    }

    async fn call_once_within<R>(
        &self,
        actor: Actor<'_>,
        request: R,
        bytes_max: usize,
    ) -> Result<R::IncomingResponse, MatrixError>
    where
        R: OutgoingRequest,
        R::Authentication: for<'a> AuthScheme<Input<'a> = SendAccessToken<'a>>,
        R::PathBuilder: for<'a> PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
    {
        let mut request = request
            .try_into_http_request::<BytesMut>(
                &self.inner.address,
                SendAccessToken::Appservice(self.inner.as_token.expose()),
                self.supported(),
            )
            .map_err(|error| MatrixError::Request(error.to_string()))?;
        if let Some(identity) = actor.identity() {
            identity
                .maybe_add_to_uri(request.uri_mut())
                .map_err(|error| MatrixError::Request(error.to_string()))?;
        }
        let response = self
            .exchange(request.map(BytesMut::freeze), bytes_max)
            .await?;
        R::IncomingResponse::try_from_http_response(as_slice(&response))
            .map_err(|error| MatrixError::Answer(error.to_string()))
    }

    /// Makes a request that needs no credentials and has one path in all versions, once.
    pub(super) async fn call_unversioned<R>(
        &self,
        request: R,
    ) -> Result<R::IncomingResponse, MatrixError>
    where
        R: OutgoingRequest,
        R::Authentication: for<'a> AuthScheme<Input<'a> = SendAccessToken<'a>>,
        R::PathBuilder: for<'a> PathBuilder<Input<'a> = ()>,
    {
        let request = request
            .try_into_http_request::<BytesMut>(&self.inner.address, SendAccessToken::None, ())
            .map_err(|error| MatrixError::Request(error.to_string()))?;
        let response = self
            .exchange(request.map(BytesMut::freeze), ANSWER_BYTES_MAX)
            .await?;
        R::IncomingResponse::try_from_http_response(as_slice(&response))
            .map_err(|error| MatrixError::Answer(error.to_string()))
    }

    /// Where the homeserver is.
    pub(super) fn address(&self) -> &str {
        &self.inner.address
    }

    /// Sends bytes, reads bytes, and turns a refusal into an error.
    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, MatrixError> {
        // The semaphore is never closed, so there is always a permit to wait for.
        let _permit = self.inner.permits.acquire().await;
        self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.inner.transport.exchange(request, bytes_max).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let error = ruma::api::error::Error::from_http_response(as_slice(&response));
        if error.status_code == http::StatusCode::TOO_MANY_REQUESTS {
            return Err(MatrixError::RateLimited {
                retry_after: retry_after(&error).or_else(|| retry_after_seconds(&response)),
            });
        }
        Err(MatrixError::Refused(error))
    }
}

/// The same response with its body borrowed, as ruma reads it.
fn as_slice(response: &http::Response<Bytes>) -> http::Response<&[u8]> {
    let mut borrowed = http::Response::new(response.body().as_ref());
    *borrowed.status_mut() = response.status();
    borrowed.headers_mut().clone_from(response.headers());
    borrowed
}

fn retry_after(error: &ruma::api::error::Error) -> Option<Duration> {
    let Some(ErrorKind::LimitExceeded(LimitExceededErrorData { retry_after, .. })) =
        error.error_kind()
    else {
        return None;
    };
    match retry_after.as_ref()? {
        RetryAfter::Delay(delay) => Some(*delay),
        RetryAfter::DateTime(time) => crate::time::until(*time),
    }
}

/// What a proxy, which knows no Matrix, says in the header.
fn retry_after_seconds(response: &http::Response<Bytes>) -> Option<Duration> {
    let seconds = response.headers().get(http::header::RETRY_AFTER)?;
    Some(Duration::from_secs(seconds.to_str().ok()?.parse().ok()?))
}

/// How long to wait after this many failed attempts: doubling, up to a limit, with jitter so that
/// many do not come back at once; or as long as the homeserver says.
pub(crate) fn backoff(attempt: u32, error: &MatrixError) -> Duration {
    if let Some(wait) = error.retry_after() {
        return wait.min(RETRY_AFTER_MAX);
    }
    let wait = BACKOFF_MIN
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(BACKOFF_MAX);
    wait.mul_f64(rand::rng().random_range(0.5..1.0))
}
