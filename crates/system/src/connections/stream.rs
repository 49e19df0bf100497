//! The socket of a connection: what is read from it moves its deadline, and what is written to it has to be read by the peer.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{min_rate::MinRate, progress::ConnectionProgress, registry::EvictionReason};

pub(super) struct TrackedStream<S> {
    inner: S,
    progress: Arc<ConnectionProgress>,
    unread: MinRate,
    /// The peer has not read what was written last.
    is_stalled: bool,
}

impl<S> TrackedStream<S> {
    pub(super) fn new(inner: S, progress: Arc<ConnectionProgress>, unread: MinRate) -> Self {
        Self {
            inner,
            progress,
            unread,
            is_stalled: false,
        }
    }

    /// Passes on what a write has done, and fails if it has waited for the peer for too long.
    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        moved: impl FnOnce(&mut MinRate, &T),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_pending() != self.is_stalled {
            self.is_stalled = outcome.is_pending();
            self.progress.set(EvictionReason::Unread, self.is_stalled);
        }
        match outcome {
            Poll::Ready(done) => {
                if let Ok(done) = &done {
                    moved(&mut self.unread, done);
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                ready!(self.unread.poll_overdue(cx));
                let words = "the response was not read in time";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.record_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(
            outcome,
            |unread, bytes| unread.record_transferred(*bytes),
            cx,
        )
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.written(
            outcome,
            |unread, bytes| unread.record_transferred(*bytes),
            cx,
        )
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(outcome, |_, ()| {}, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(outcome, |unread, ()| unread.done(), cx)
    }
}
