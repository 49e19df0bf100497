//! Group commit: one `fsync` for everybody who waits.
//!
//! A thousand callers that ask while one flush is under way are served together by the next one.
//! A flush that began before a caller's write does not count for that caller.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::JournalError;

/// The most callers that queue for the next flush; more wait for a place.
const WAITING_MAX: usize = 4096;

type Waiter = oneshot::Sender<Result<(), sled::Error>>;

/// The one task that flushes.
pub(super) struct Flusher {
    waiting: mpsc::Sender<Waiter>,
    flushes: Arc<AtomicU64>,
}

impl Flusher {
    pub(super) fn start(db: sled::Db) -> Self {
        let (waiting, inbox) = mpsc::channel(WAITING_MAX);
        let flushes = Arc::default();
        tokio::spawn(serve(db, inbox, Arc::clone(&flushes)));
        Self { waiting, flushes }
    }

    /// Ready when the task that flushes has ended: nothing becomes durable any more.
    pub(super) async fn ended(&self) {
        self.waiting.closed().await;
    }

    pub(super) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    pub(super) async fn flush(&self) -> Result<(), JournalError> {
        let (done, result) = oneshot::channel();
        self.waiting
            .send(done)
            .await
            .map_err(|_| JournalError::Closed)?;
        result
            .await
            .map_err(|_| JournalError::Closed)?
            .map_err(JournalError::Disk)
    }
}

async fn serve(db: sled::Db, mut inbox: mpsc::Receiver<Waiter>, flushes: Arc<AtomicU64>) {
    let mut waiters = Vec::new();
    while inbox.recv_many(&mut waiters, WAITING_MAX).await > 0 {
        flushes.fetch_add(1, Ordering::Relaxed);
        let result = db.flush_async().await.map(|_| ());
        for waiter in waiters.drain(..) {
            // A caller that no longer waits has no use for the answer.
            drop(waiter.send(result.clone()));
        }
    }
}
