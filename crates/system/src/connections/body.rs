//! Bodies: those that come have a least rate, those that go mark how long a request is being answered.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    min_rate::MinRate,
    progress::{Answering, ConnectionProgress},
    registry::EvictionReason,
};

/// The body of a request.
pub(super) struct MinRateBody {
    inner: Incoming,
    min_rate: MinRate,
    fate: Arc<BodyOutcome>,
    receiving: Option<Receiving>,
}

/// What became of the body of a request.
#[derive(Debug, Default)]
pub(super) struct BodyOutcome {
    /// It was given up because it did not come.
    pub(super) late: AtomicBool,
    /// It was read to its end.
    pub(super) read: AtomicBool,
}

/// As long as this lives, the connection can give way: the body of its request has not come.
struct Receiving(Arc<ConnectionProgress>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.set(EvictionReason::Receiving, false);
    }
}

impl MinRateBody {
    /// A body whose reader has so much time for it.
    pub(super) fn new(
        inner: Incoming,
        timeout: Duration,
        fate: Arc<BodyOutcome>,
        progress: &Arc<ConnectionProgress>,
    ) -> Self {
        let is_empty = http_body::Body::is_end_stream(&inner);
        fate.read.store(is_empty, Ordering::Release);
        let receiving = (!is_empty).then(|| {
            progress.set(EvictionReason::Receiving, true);
            Receiving(Arc::clone(progress))
        });
        Self {
            receiving,
            inner,
            min_rate: MinRate::new(timeout),
            fate,
        }
    }
}

impl http_body::Body for MinRateBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                let frame = frame.map(|frame| frame.map_err(io::Error::other));
                if let Some(Ok(frame)) = &frame {
                    self.min_rate
                        .record_transferred(frame.data_ref().map_or(0, Bytes::len));
                }
                if self.inner.is_end_stream() || frame.is_none() {
                    self.fate.read.store(true, Ordering::Release);
                }
                if self.inner.is_end_stream() || !matches!(frame, Some(Ok(_))) {
                    self.receiving = None;
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                ready!(self.min_rate.poll_overdue(cx));
                self.fate.late.store(true, Ordering::Release);
                let words = "the body did not come in time";
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, words))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response: while it is there, the request is being answered.
pub(super) struct TrackedResponseBody {
    pub(super) inner: Body,
    pub(super) _answering: Answering,
}

impl http_body::Body for TrackedResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
