//! The bodies of requests: read within a limit, and counted as they arrive.
//!
//! A body that announces more than its endpoint takes is refused before a byte of it is read. Of every other one the bytes are
//! counted that are there, never those that it only announces: the first few need no permit, since all connections together have a
//! limit, so a login or a message never waits for somebody's long body. Beyond them a body takes bytes of a pool as it grows.
//! Requests without an access token have a small pool of their own, so that they cannot use up what logged-in users need, and long
//! bodies another one. In each of them nobody has more than a share, and a body that does not arrive gives way to whoever waits.
//! The bytes are held until the request is answered, so what all requests together keep in memory has a limit.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::select_all, stream::BoxStream};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ruma::api::error::ErrorKind;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    byte_pool::{BodyPools, Transfer},
    error::{Error, Result},
    holder::Holder,
    limits::{
        BODY_BYTES_PER_SECOND_MIN, BODY_FIRST_BYTES_TIME, BODY_GRACE, BODY_PERMIT_WAIT_MAX,
        BODY_TIME_BASE, JSON_MAX_BYTES_WITHOUT_TOKEN, SMALL_BODY_BYTES,
    },
    permits::Permit,
};

/// Above this many bytes a body is a long one: it is parsed off the async workers, and what is above is taken of a pool of its own.
pub(super) const LONG_BODY_BYTES: usize = JSON_MAX_BYTES_WITHOUT_TOKEN;
/// What has to come first, in bytes: in one packet, nearly always.
const FIRST_BYTES: usize = 1 << 10;

/// What a body holds as long as this lives.
#[derive(Debug, Default)]
pub(super) struct BodyPermits {
    transfers: Vec<Transfer>,
}

impl BodyPermits {
    /// The request is worked on: it ends by itself, and does not give way any more.
    pub(super) fn stop_giving_way(&self) {
        for transfer in &self.transfers {
            transfer.complete();
        }
    }

    /// Ready when the request has to give way.
    pub(super) async fn gave_way(&self) {
        if self.transfers.is_empty() {
            return std::future::pending().await;
        }
        let all = self.transfers.iter().map(|one| Box::pin(one.gave_way()));
        drop(select_all(all).await);
    }
}

/// A body, and what it holds as long as this lives.
#[derive(Debug, Default)]
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    permits: BodyPermits,
}

impl ReadBody {
    /// See [`BodyPermits::stop_giving_way`].
    #[cfg(test)]
    pub(super) fn complete(&self) {
        self.permits.stop_giving_way();
    }

    /// The body and the permits, apart.
    pub(super) fn into_parts(self) -> (Bytes, BodyPermits) {
        (self.bytes, self.permits)
    }
}

impl BodyPools {
    /// Reads a body whole.
    ///
    /// # Errors
    ///
    /// 413 `M_TOO_LARGE` beyond the limit, before anything is read if its length is known; 429 if its pool is full for too long, or if
    /// it has to give way to others because it does not arrive; 408 if it comes too slowly.
    pub(super) async fn read(
        &self,
        body: Body,
        holder: &Holder,
        max_bytes: usize,
    ) -> Result<ReadBody> {
        check_announced_length(&body, max_bytes)?;
        let announced = body.size_hint().exact();
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        if announced == Some(0) {
            return Ok(ReadBody::default());
        }
        let mut arriving = Arriving::new(self, holder, announced.unwrap_or(max_bytes));
        let mut pieces = body.into_data_stream();
        let mut read = BytesMut::new();
        while let Some(piece) = arriving.next(&mut pieces).await? {
            let length = read.len() + piece.len();
            if length > max_bytes {
                return Err(too_long(max_bytes));
            }
            arriving.grow_to(length).await?;
            read.extend_from_slice(&piece);
        }
        Ok(ReadBody {
            bytes: read.freeze(),
            permits: arriving.permits,
        })
    }

    /// The turn of a long body of this holder to be parsed.
    pub(super) async fn acquire_parse_permit(&self, holder: &Holder) -> Result<Permit> {
        self.parses.acquire(holder, 1).await
    }
}

/// A body that arrives.
struct Arriving<'a> {
    pools: &'a BodyPools,
    holder: &'a Holder,
    arrived: usize,
    /// Of which pool it has taken how much, in the order of `permits`.
    taken: [usize; 2],
    permits: BodyPermits,
    begun: Instant,
    /// How many bytes come, at most.
    expected: usize,
}

impl<'a> Arriving<'a> {
    fn new(pools: &'a BodyPools, holder: &'a Holder, expected: usize) -> Self {
        Self {
            pools,
            holder,
            arrived: 0,
            taken: [0; 2],
            permits: BodyPermits::default(),
            begun: Instant::now(),
            expected,
        }
    }

    /// The next piece.
    async fn next<S>(&mut self, pieces: &mut S) -> Result<Option<Bytes>>
    where
        S: futures_util::Stream<Item = std::result::Result<Bytes, axum::Error>> + Unpin,
    {
        let time = if self.arrived < FIRST_BYTES.min(self.expected) {
            BODY_FIRST_BYTES_TIME
        } else {
            time_for(self.expected)
        };
        let piece = tokio::select! {
            biased;
            () = self.permits.gave_way() => return Err(gave_way()),
            piece = timeout_at(self.begun + time, pieces.next()) => piece,
        };
        let piece = piece.map_err(|_| too_slow())?.transpose();
        let piece = piece.map_err(|error| ended_early(&error))?;
        let length = piece.as_ref().map_or(0, Bytes::len);
        self.arrived += length;
        for transfer in &self.permits.transfers {
            transfer.record_transferred(length);
        }
        Ok(piece)
    }

    /// Takes what a body of this length needs.
    async fn grow_to(&mut self, length: usize) -> Result<()> {
        let anonymous = matches!(self.holder, Holder::Address(_));
        let short = if anonymous {
            length
        } else {
            length.min(LONG_BODY_BYTES)
        };
        let wanted = [
            short.saturating_sub(SMALL_BODY_BYTES),
            length.saturating_sub(short),
        ];
        for (index, wanted) in wanted.into_iter().enumerate() {
            let missing = wanted.saturating_sub(self.taken[index]);
            if missing == 0 {
                continue;
            }
            if self.permits.transfers.len() <= index {
                let pool = match index {
                    0 if anonymous => &self.pools.anonymous,
                    0 => &self.pools.authenticated,
                    _ => &self.pools.long,
                };
                let transfer = pool.transfer(self.holder, CancellationToken::new());
                self.permits.transfers.push(transfer);
            }
            let grown = tokio::select! {
                biased;
                () = self.permits.gave_way() => return Err(gave_way()),
                grown = self.permits.transfers[index].grow(missing) => grown,
            };
            grown.map_err(|_| no_permit())?;
            self.taken[index] = wanted;
        }
        Ok(())
    }
}

/// How long a body of this many bytes may take to come.
fn time_for(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    BODY_TIME_BASE + Duration::from_secs(bytes / BODY_BYTES_PER_SECOND_MIN)
}

/// Refuses a body that announces more bytes than it can have.
pub(super) fn check_announced_length(body: &Body, max_bytes: usize) -> Result<()> {
    if body.size_hint().lower() > u64::try_from(max_bytes).unwrap_or(u64::MAX) {
        return Err(too_long(max_bytes));
    }
    Ok(())
}

/// The body, piece by piece as it comes.
pub fn body_chunks(body: Body, max_bytes: usize) -> BoxStream<'static, Result<Bytes>> {
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
    Error::too_large(format!("Request body too large (max {max_bytes} bytes)"))
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

/// What a request is told that gave way to others.
pub(super) fn gave_way() -> Error {
    Error::limit_exceeded(
        BODY_GRACE,
        "The body of this request arrived so slowly that it gave way to others; try again",
    )
}

fn no_permit() -> Error {
    Error::limit_exceeded(
        BODY_PERMIT_WAIT_MAX,
        "Too many requests with long bodies at a time; try again",
    )
}
