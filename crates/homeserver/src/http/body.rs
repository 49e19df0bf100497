//! The bodies of requests: read within a limit, and only with a permit.
//!
//! A body that announces more than its endpoint takes is refused before a byte of it is read. Every other one takes a permit of a
//! pool first: requests without an access token have a small pool of their own, so that they cannot use up what logged-in users
//! need, and long bodies another one. In each of them nobody has more than a share. The permit is held until the request is
//! answered, so what all requests together keep in memory has a limit, and a body that comes slower than any network is given up.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ruma::api::error::ErrorKind;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{Error, Result},
    holder::Holder,
    limits::{
        BODY_BYTES_PER_SECOND_MIN, BODY_PERMIT_WAIT_MAX, BODY_TIME_BASE,
        JSON_MAX_BYTES_WITHOUT_TOKEN,
    },
    permits::{BodyPools, Permit},
};

/// Above this many bytes a body is a long one: it is parsed off the async workers, and takes one of few permits before it is read.
pub(super) const LONG_BODY_BYTES: usize = JSON_MAX_BYTES_WITHOUT_TOKEN;
/// What is counted of short bodies, in bytes.
const UNIT_BYTES: usize = 1 << 10;

/// A body, and the permits that it holds as long as this lives.
#[derive(Debug, Default)]
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    permits: Vec<Permit>,
}

impl ReadBody {
    /// The body and the permits, apart.
    pub(super) fn into_parts(self) -> (Bytes, Vec<Permit>) {
        (self.bytes, self.permits)
    }
}

impl BodyPools {
    /// Reads a body whole.
    ///
    /// # Errors
    ///
    /// 413 `M_TOO_LARGE` beyond the limit, before anything is read if its length is known; 429 if no permit gets free in time; 408 if it
    /// comes too slowly.
    pub(super) async fn read(
        &self,
        body: Body,
        holder: &Holder,
        max_bytes: usize,
    ) -> Result<ReadBody> {
        refuse_longer(&body, max_bytes)?;
        let announced = body.size_hint().exact();
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        if announced == Some(0) {
            return Ok(ReadBody::default());
        }
        // One that does not say its length is short until it turns out to be long.
        let expected = announced.unwrap_or(LONG_BODY_BYTES.min(max_bytes));
        let mut permits = vec![self.acquire(holder, expected).await?];
        let end = Instant::now() + time_for(announced.unwrap_or(max_bytes));
        let mut pieces = body.into_data_stream();
        let mut read = BytesMut::with_capacity(announced.unwrap_or_default());
        while let Some(piece) = timeout_at(end, pieces.next())
            .await
            .map_err(|_| too_slow())?
        {
            let piece = piece.map_err(|error| ended_early(&error))?;
            let length = read.len() + piece.len();
            if length > max_bytes {
                return Err(too_long(max_bytes));
            }
            if length > LONG_BODY_BYTES && announced.is_none() && permits.len() == 1 {
                permits.push(self.acquire(holder, length).await?);
            }
            read.extend_from_slice(&piece);
        }
        Ok(ReadBody {
            bytes: read.freeze(),
            permits,
        })
    }

    /// The permit that a body of this length takes.
    async fn acquire(&self, holder: &Holder, bytes: usize) -> Result<Permit> {
        let (pool, number) = match holder {
            Holder::Address(_) => (&self.anonymous, bytes.div_ceil(UNIT_BYTES)),
            _ if bytes > LONG_BODY_BYTES => (&self.long, 1),
            _ => (&self.authenticated, bytes.div_ceil(UNIT_BYTES)),
        };
        tokio::time::timeout(BODY_PERMIT_WAIT_MAX, pool.acquire(holder, number))
            .await
            .map_err(|_| no_permit())?
    }
}

/// How long a body of this many bytes may take to come.
fn time_for(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    BODY_TIME_BASE + Duration::from_secs(bytes / BODY_BYTES_PER_SECOND_MIN)
}

/// Refuses a body that announces more bytes than it can have.
pub(super) fn refuse_longer(body: &Body, max_bytes: usize) -> Result<()> {
    if body.size_hint().lower() > u64::try_from(max_bytes).unwrap_or(u64::MAX) {
        return Err(too_long(max_bytes));
    }
    Ok(())
}

/// The body, piece by piece as it comes.
pub fn pieces(body: Body, max_bytes: usize) -> BoxStream<'static, Result<Bytes>> {
    let pieces = Limited::new(body, max_bytes).into_data_stream();
    pieces
        .map(move |piece| {
            piece.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    too_long(max_bytes)
                } else {
                    ended_early(&error)
                }
            })
        })
        .boxed()
}

fn too_long(max_bytes: usize) -> Error {
    Error::too_large(format!(
        "The body of this request can have {max_bytes} bytes"
    ))
}

fn ended_early(error: &dyn std::fmt::Display) -> Error {
    Error::bad_request(
        ErrorKind::Unknown,
        format!("The request ended early: {error}"),
    )
}

fn too_slow() -> Error {
    Error::refused(
        StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Unknown,
        "The body of this request did not come in time",
    )
}

fn no_permit() -> Error {
    Error::limit_exceeded(
        BODY_PERMIT_WAIT_MAX,
        "Too many requests with long bodies at a time; try again",
    )
}
