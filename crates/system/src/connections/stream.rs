//! The socket of a connection: what is read from it moves its deadline, and what is written to it has to be read by the peer.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{min_rate::MinRate, progress::ConnectionProgress, registry::EvictionReason};

/// How much of a refused body is thrown away at a time, in bytes.
const DISCARDED_AT_ONCE: usize = 16 << 10;

pub(super) struct TrackedStream<S> {
    inner: S,
    progress: Arc<ConnectionProgress>,
    unread: MinRate,
    /// The peer has not read what was written last.
    is_stalled: bool,
    /// Until when the rest of a refused body is thrown away, once everything is written.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> TrackedStream<S> {
    pub(super) fn new(inner: S, progress: Arc<ConnectionProgress>, unread: MinRate) -> Self {
        Self {
            inner,
            progress,
            unread,
            is_stalled: false,
            lingering: None,
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
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
        if self.lingering.is_none() {
            let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
            ready!(self.written(outcome, |unread, ()| unread.done(), cx))?;
            if !self.progress.is_body_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }
}

impl<S: AsyncRead + Unpin> TrackedStream<S> {
    /// Throws away what still comes, until the peer has ended its side or it takes too long. The deadline of the connection stays.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timeout = self.progress.linger_timeout();
        let end = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep(timeout)));
        let mut discarded = [MaybeUninit::uninit(); DISCARDED_AT_ONCE];
        while end.as_mut().poll(cx).is_pending() {
            let mut discarded = ReadBuf::uninit(&mut discarded);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut discarded));
            if read.is_err() || discarded.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
