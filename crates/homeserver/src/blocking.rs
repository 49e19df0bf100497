//! Handlers and followers off the async workers: whatever reads the database never delays somebody else's socket.
//!
//! [`BlockingPool::run`] polls a future on a thread of tokio's blocking pool, under two permits: one of the holder's share, so that nobody
//! takes all threads, and one of all. A future that waits (for a commit, a lock, a long poll) gives thread and permits back until it
//! is woken. When its caller goes, a scan that is under way ends at its next row ([`is_abandoned`]).
//!
//! [`check_not_on_async_worker`] is called by every scan of the store. In debug builds it counts scans on async workers; the tests of this crate
//! fail if there was one.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use tokio::time::Instant;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};
use tracing::Instrument;

use crate::holder::Holder;

#[cfg(test)]
mod tests;

/// How many futures are polled at a time for each core. Many: whoever waits for a permit waits for the whole scan of somebody else,
/// whoever waits for a processor for a slice of it.
const POLLS_PER_CORE: usize = 8;
/// How many futures are polled at a time at least.
const POLLS_MIN: usize = 32;
/// How many futures are polled at a time at most.
const POLLS_MAX: usize = 128;
/// Which part of the permits one holder can have: one in so many. As many holders have to scan at a time before anybody else waits.
const HOLDER_SHARE: usize = 16;
/// How many walks are polled at a time for each core: they have permits of their own, so that short requests never wait for them.
const WALKS_PER_CORE: usize = 2;
/// How many walks are polled at a time at least.
const WALKS_MIN: usize = 4;
/// After so many steps (rooms) a walk gives its thread back and queues up again.
const STEPS_PER_SLICE: u32 = 16;
/// And after so much time.
const SLICE: Duration = Duration::from_millis(10);

/// Where futures are polled. Clones are the same pool.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    inner: Arc<Inner>,
    /// The permits of walks.
    walks: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    permits: Arc<Semaphore>,
    permits_per_holder: usize,
    holders: Mutex<HashMap<Holder, (usize, Arc<Semaphore>)>>,
}

impl Default for BlockingPool {
    /// As many permits as the machine has use for.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let polls = (cores * POLLS_PER_CORE).clamp(POLLS_MIN, POLLS_MAX);
        Self::new(polls, (cores * WALKS_PER_CORE).clamp(WALKS_MIN, POLLS_MAX))
    }
}

impl BlockingPool {
    /// A pool that polls so many futures at a time, and so many walks besides.
    pub fn new(permits: usize, walks: usize) -> Self {
        let inner = |permits| {
            Arc::new(Inner {
                permits: Arc::new(Semaphore::new(permits)),
                permits_per_holder: (permits / HOLDER_SHARE).max(1),
                holders: Mutex::default(),
            })
        };
        Self {
            inner: inner(permits),
            walks: inner(walks),
        }
    }

    /// Polls the future on blocking threads until it is done. Panics if the future panics. One that pauses ([`pause`]) is a walk from
    /// then on until it waits for something else.
    pub async fn run<F>(&self, holder: Holder, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.poll(holder, future, false).await
    }

    /// The same for a walk over many rooms, members or events, which begins with a permit for walks.
    pub async fn walk<F>(&self, holder: Holder, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.poll(holder, future, true).await
    }

    async fn poll<F>(&self, holder: Holder, future: F, is_walk: bool) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let short = Share::of(&self.inner, holder.clone());
        let walk = Share::of(&self.walks, holder);
        let mut walks = is_walk;
        let mut future: Pin<Box<_>> = Box::pin(future.in_current_span());
        let caller = CallerGuard::default();
        let wakes = Arc::new(Wakes::default());
        loop {
            // Both queues are fair: who pauses comes after everybody who waits, and has one place for each of its permits.
            let share = if walks { &walk } else { &short };
            let permits = (
                permit(&share.permits).await,
                permit(&share.inner.permits).await,
            );
            let (abandoned, waker) = (caller.abandoned.clone(), Waker::from(wakes.clone()));
            let polled = spawn_blocking(move || {
                let _permits = permits;
                let _marked = Marked::new(Mark::Blocking(Some(abandoned)));
                let slice = SliceGuard::begin();
                let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
                let paused = SliceGuard::has_paused();
                drop(slice);
                (future, poll, paused)
            });
            match joined(polled.await).await {
                (_, Poll::Ready(output), _) => return output,
                (pending, Poll::Pending, paused) => {
                    future = pending;
                    walks = is_walk || paused;
                }
            }
            wakes.0.notified().await;
        }
    }
}

/// What one poll has done.
#[derive(Clone, Copy)]
struct Slice {
    begun: Instant,
    steps: u32,
    paused: bool,
}

thread_local! {
    static CURRENT_SLICE: Cell<Option<Slice>> = const { Cell::new(None) };
}

/// A poll on this thread, until this is dropped.
struct SliceGuard;

impl SliceGuard {
    fn begin() -> Self {
        CURRENT_SLICE.set(Some(Slice {
            begun: Instant::now(),
            steps: 0,
            paused: false,
        }));
        Self
    }

    /// Whether the poll under way has paused.
    fn has_paused() -> bool {
        CURRENT_SLICE.get().is_some_and(|slice| slice.paused)
    }
}

impl Drop for SliceGuard {
    fn drop(&mut self) {
        CURRENT_SLICE.set(None);
    }
}

/// Called by a walk after each step, like a room: gives the thread and its permit back once it had them for long, and goes on when
/// others had their turn. Outside of the pool it does nothing.
pub async fn pause() {
    let is_over = CURRENT_SLICE.get().is_some_and(|mut slice| {
        slice.steps += 1;
        slice.paused = slice.steps >= STEPS_PER_SLICE || slice.begun.elapsed() >= SLICE;
        CURRENT_SLICE.set(Some(slice));
        slice.paused
    });
    if !is_over {
        return;
    }
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a closure on a blocking thread: for long work that nobody can ask for often.
///
/// # Errors
///
/// If the closure panicked, or the runtime ends.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    spawn_blocking(move || {
        let _marked = Marked::new(Mark::Blocking(None));
        work()
    })
    .await
}

async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Neither semaphore is ever closed.
    semaphore.clone().acquire_owned().await.ok()
}

/// What a blocking thread gave back. Its panic goes on here; a runtime that ends drops whoever waits for it.
async fn joined<T>(outcome: Result<T, JoinError>) -> T {
    match outcome {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

/// Wakes the future that is polled elsewhere. A wake during a poll is kept.
#[derive(Default)]
struct Wakes(Notify);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Tells the blocking thread when nobody waits for it any more.
#[derive(Default)]
struct CallerGuard {
    abandoned: Arc<AtomicBool>,
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// The permits of one holder, kept as long as a future of theirs runs.
struct Share {
    inner: Arc<Inner>,
    holder: Holder,
    permits: Arc<Semaphore>,
}

impl Share {
    fn of(inner: &Arc<Inner>, holder: Holder) -> Self {
        let mut holders = inner.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let (users, permits) = holders
            .entry(holder.clone())
            .or_insert_with(|| (0, Arc::new(Semaphore::new(inner.permits_per_holder))));
        *users += 1;
        let permits = permits.clone();
        drop(holders);
        Self {
            inner: inner.clone(),
            holder,
            permits,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let holders = self.inner.holders.lock();
        let mut holders = holders.unwrap_or_else(PoisonError::into_inner);
        if let Some((users, _)) = holders.get_mut(&self.holder) {
            *users -= 1;
            if *users == 0 {
                holders.remove(&self.holder);
            }
        }
    }
}

/// What a thread is doing.
enum Mark {
    /// Anything.
    None,
    /// It polls a request where it must not block.
    AsyncRequest,
    /// It may block, for a caller that may go.
    Blocking(Option<Arc<AtomicBool>>),
}

thread_local! {
    static MARK: RefCell<Mark> = const { RefCell::new(Mark::None) };
}

/// Marks this thread until it is dropped.
struct Marked {
    before: Mark,
}

impl Marked {
    fn new(mark: Mark) -> Self {
        Self {
            before: MARK.replace(mark),
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        MARK.set(std::mem::replace(&mut self.before, Mark::None));
    }
}

/// Whether the caller, for whom this thread reads, has gone.
pub fn is_abandoned() -> bool {
    MARK.with_borrow(|mark| match mark {
        Mark::Blocking(Some(abandoned)) => abandoned.load(Ordering::Relaxed),
        _ => false,
    })
}

/// Polls the future of a request where it must not block, so that [`check_not_on_async_worker`] finds it if it does.
pub async fn watched<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let _marked = Marked::new(Mark::AsyncRequest);
        future.as_mut().poll(context)
    })
    .await
}

/// Called by whoever begins to scan a table. In debug builds, a scan on an async worker is logged and counted.
pub fn check_not_on_async_worker(table: &'static str) {
    if cfg!(debug_assertions) && on_async_worker() {
        tracing::error!(table, "a table is scanned on an async worker");
        ASYNC_SCANS.with_borrow_mut(|scans| scans.push(table));
    }
}

fn on_async_worker() -> bool {
    MARK.with_borrow(|mark| match mark {
        Mark::Blocking(_) => false,
        Mark::AsyncRequest => true,
        // The start of a program and the body of a test are no tasks.
        Mark::None => tokio::task::try_id().is_some(),
    })
}

thread_local! {
    /// The tables that were scanned by this thread as an async worker.
    static ASYNC_SCANS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// The tables that this thread scanned as an async worker since the last call.
#[cfg(test)]
pub(crate) fn take_async_scans() -> Vec<&'static str> {
    ASYNC_SCANS.take()
}
