//! How a request reaches the homeserver.
//!
//! The bridge speaks to every homeserver in the same bytes. A transport only carries them: over the
//! network, or to the embedded homeserver in the same process.

use std::{error::Error as StdError, time::Duration};

use async_trait::async_trait;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::ServiceExt;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for an answer. Creating a room on a small machine can take many seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer that is read, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many idle connections are kept open.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// Why an exchange failed before there was a whole answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke, or no answer in time. Whether the homeserver has seen the
    /// request is not known.
    #[error("cannot reach the homeserver")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The answer is larger than a limit allows.
    #[error("the homeserver's answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
}

/// Carries requests to a homeserver.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and reads the whole answer, if it has no more than `bytes_max`.
    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// A homeserver in the same process: the same bytes, no socket.
pub struct InProcess {
    homeserver: axum::Router,
}

impl InProcess {
    /// Calls this homeserver.
    pub fn new(homeserver: axum::Router) -> Self {
        Self { homeserver }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = request.map(Body::from);
        let answered =
            tokio::time::timeout(ANSWER_TIMEOUT, self.homeserver.clone().oneshot(request));
        let answer = answered
            .await
            .map_err(|slow| TransportError::Unreachable(slow.into()))?;
        let Ok(answer) = answer;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                TransportError::TooLarge { bytes_max }
            } else {
                TransportError::Unreachable(error)
            }
        })?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }
}

/// HTTP over the network.
pub struct Network {
    http: reqwest::Client,
}

impl Network {
    /// Makes a client. Nothing is sent yet.
    pub fn new() -> Result<Self, TransportError> {
        // The first one wins; a second one is the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the client for the homeserver is made"
        )]
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!(
                "matrix-appservice-letta/",
                env!("CARGO_PKG_VERSION")
            ))
            .build()
            .map_err(unreachable)?;
        Ok(Self { http })
    }
}

#[async_trait]
impl Transport for Network {
    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let mut answer = http::Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(TransportError::TooLarge { bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.map(|()| body.freeze()))
    }
}

/// The URL can carry a user id but never a token; still it does not belong into a person's sight.
fn unreachable(error: reqwest::Error) -> TransportError {
    TransportError::Unreachable(error.without_url().into())
}
