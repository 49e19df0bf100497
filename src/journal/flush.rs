//! Group commit: one `fsync` for everybody who waits.
//!
//! A thousand callers that ask while one flush is under way are served together by the next one.
//! A flush that began before a caller's write does not count for that caller.
//!
//! sled can lose the wake-up of a flush whose disk fails: one that takes long is asked for again, and the second one tells the error.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{JournalError, database::Database};

/// The most callers that queue for the next flush; more wait for a place.
const WAITING_MAX: usize = 4096;

/// After how long a flush is asked for again.
const FLUSH_AGAIN: Duration = Duration::from_secs(5);

type Waiter = oneshot::Sender<Result<(), sled::Error>>;

/// The one task that flushes.
pub(super) struct Flusher {
    waiting: mpsc::Sender<Waiter>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Flushes that were begun.
    flushes: AtomicU64,
    /// Whether the last of them has not ended.
    in_flight: AtomicBool,
    /// It takes long.
    again: Notify,
}

impl Flusher {
    #[expect(
        clippy::disallowed_methods,
        reason = "task and thread end with the journal, to which other tasks write to the last"
    )]
    pub(super) fn start(db: Database) -> Self {
        let (waiting, inbox) = mpsc::channel(WAITING_MAX);
        let state = Arc::new(State::default());
        tokio::spawn(serve(db, inbox, Arc::clone(&state)));
        let watched = Arc::downgrade(&state);
        // A thread, since the time of the disk is no time of the runtime, which tests pass as they like.
        std::thread::spawn(move || watch(&watched));
        Self { waiting, state }
    }

    /// Ready when the task that flushes has ended: nothing becomes durable any more.
    pub(super) async fn ended(&self) {
        self.waiting.closed().await;
    }

    pub(super) fn flushes(&self) -> u64 {
        self.state.flushes.load(Ordering::Relaxed)
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

async fn serve(db: Database, mut inbox: mpsc::Receiver<Waiter>, state: Arc<State>) {
    let mut waiters = Vec::new();
    while inbox.recv_many(&mut waiters, WAITING_MAX).await > 0 {
        state.flushes.fetch_add(1, Ordering::Relaxed);
        state.in_flight.store(true, Ordering::Release);
        let result = flush(&db, &state.again).await;
        state.in_flight.store(false, Ordering::Release);
        for waiter in waiters.drain(..) {
            // A caller that no longer waits has no use for the answer.
            drop(waiter.send(result.clone()));
        }
    }
}

async fn flush(db: &Database, again: &Notify) -> sled::Result<()> {
    loop {
        tokio::select! {
            flushed = db.make_durable() => return flushed,
            // The one that is given up goes on; the next one waits for the same bytes.
            () = again.notified() => {}
        }
    }
}

/// Has a flush asked for again that is in flight at two looks. Ends with the journal.
fn watch(watched: &Weak<State>) {
    let mut before = None;
    loop {
        std::thread::sleep(FLUSH_AGAIN);
        let Some(state) = watched.upgrade() else {
            return;
        };
        let in_flight = state.in_flight.load(Ordering::Acquire);
        let now = in_flight.then(|| state.flushes.load(Ordering::Relaxed));
        if now.is_some() && now == before {
            state.again.notify_waiters();
        }
        before = now;
    }
}
