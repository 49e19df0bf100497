//! How far one connection is, and until when it may stay there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Limits,
    registry::{EvictionReason, Permit},
};

/// Shared by the socket, the routes and the task of one connection.
pub(super) struct ConnectionProgress {
    limits: Arc<Limits>,
    permit: Permit,
    /// No byte of the next request has come.
    silent: AtomicBool,
    /// The last response was given before the body of its request was read.
    body_unread: AtomicBool,
    /// When the connection is closed; nothing while a request is answered.
    deadline: watch::Sender<Option<Instant>>,
}

impl ConnectionProgress {
    /// A connection that was just accepted: it has to send the head of a request.
    pub(super) fn new(limits: Arc<Limits>, permit: Permit) -> Self {
        let deadline = Instant::now() + limits.header_timeout;
        Self {
            limits,
            permit,
            silent: AtomicBool::new(false),
            body_unread: AtomicBool::new(false),
            deadline: watch::Sender::new(Some(deadline)),
        }
    }

    /// Something was read.
    pub(super) fn record_read(&self) {
        if self.silent.swap(false, Ordering::AcqRel) {
            let deadline = Instant::now() + self.limits.header_timeout;
            self.deadline.send_replace(Some(deadline));
        }
    }

    /// The head of a request is there. It is answered until the guard is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.permit.busy();
        self.silent.store(false, Ordering::Release);
        self.deadline.send_replace(None);
        Answering(Arc::clone(self))
    }

    /// The connection ends with this response, and the rest of the request's body may still come.
    pub(super) fn leave_body_unread(&self) {
        self.body_unread.store(true, Ordering::Release);
    }

    /// Whether the rest of a body may still come that nobody reads.
    pub(super) fn is_body_unread(&self) -> bool {
        self.body_unread.load(Ordering::Acquire)
    }

    /// How long it is waited for that.
    pub(super) fn linger_timeout(&self) -> Duration {
        self.limits.linger_timeout
    }

    /// The connection can give way for this reason, or not any more.
    pub(super) fn set(&self, reason: EvictionReason, applies: bool) {
        self.permit.set(reason, applies);
    }

    pub(super) const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Ready when the connection has to go: it was too slow, or another one needs its place.
    pub(super) async fn until_overdue(&self) {
        tokio::select! {
            () = self.permit.eviction_token().cancelled() => {}
            () = self.past_deadline() => {}
        }
    }

    async fn past_deadline(&self) {
        let mut follower = self.deadline.subscribe();
        loop {
            let deadline = *follower.borrow_and_update();
            let changed = follower.changed();
            let past = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changed => {}
                () = past => return,
            }
        }
    }
}

/// A request that is being answered.
pub(super) struct Answering(Arc<ConnectionProgress>);

impl Drop for Answering {
    fn drop(&mut self) {
        let progress = &self.0;
        progress.silent.store(true, Ordering::Release);
        let deadline = Instant::now() + progress.limits.idle_timeout;
        progress.deadline.send_replace(Some(deadline));
        progress.permit.idle();
    }
}
