//! One task per key, awake while there is work for it.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::error;

use super::{PANICS_PER_ITEM_MAX, Panic, Tasks, catch_panic};

/// How long a worker rests after an error or a panic, before it looks again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What a worker does for its key.
pub trait Work<K>: Clone + Send + Sync + 'static {
    /// Why the work stopped early, most likely the journal.
    type Error: std::error::Error + Send + 'static;

    /// Does all there is to do for the key, and returns. After an error it runs again.
    fn run(&self, key: &K) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes the first item from the work of the key: it panicked [`PANICS_PER_ITEM_MAX`] times.
    fn set_aside(
        &self,
        key: &K,
        panic: &Panic,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Workers<K> {
    /// Awake workers; `true`: look once more before going.
    awake: Arc<Mutex<HashMap<K, bool>>>,
    tasks: Tasks,
}

impl<K> Workers<K>
where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    /// Workers that belong to `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        Self {
            awake: Arc::default(),
            tasks,
        }
    }

    /// Makes sure that `work` runs for `key` after this call. It never runs twice at a time for one
    /// key.
    pub fn wake<W: Work<K>>(&self, key: K, work: W) {
        if self.tasks.is_stopping() {
            return;
        }
        {
            let mut awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(again) = awake.get_mut(&key) {
                *again = true;
                return;
            }
            awake.insert(key.clone(), false);
        }
        let mut awake = Awake {
            all: Arc::clone(&self.awake),
            key,
            released: false,
        };
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            while supervise(&work, &awake.key, &tasks).await && awake.must_look_again() {}
        });
    }

    /// How many are awake.
    pub fn active_count(&self) -> usize {
        self.awake
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// Runs the work until it returns without error. `false`: the process is about to end before it did.
async fn supervise<K: Debug, W: Work<K>>(work: &W, key: &K, tasks: &Tasks) -> bool {
    let mut panics = 0;
    loop {
        match catch_panic(work.run(key)).await {
            Ok(Ok(())) => return true,
            Ok(Err(failure)) => error!(
                ?key,
                error = &failure as &dyn std::error::Error,
                "work failed; trying again"
            ),
            Err(panic) => {
                panics += 1;
                error!(?key, %panic, panics, "work panicked");
                if panics >= PANICS_PER_ITEM_MAX && set_aside(work, key, &panic).await {
                    panics = 0;
                    continue;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            () = tasks.stopping() => return false,
        }
    }
}

/// Whether the item that panicked was set aside.
async fn set_aside<K: Debug, W: Work<K>>(work: &W, key: &K, panic: &Panic) -> bool {
    match catch_panic(work.set_aside(key, panic)).await {
        Ok(Ok(())) => return true,
        Ok(Err(failure)) => error!(
            ?key,
            error = &failure as &dyn std::error::Error,
            "could not set aside the panicked item"
        ),
        Err(panic) => error!(?key, %panic, "could not set aside the panicked item"),
    }
    false
}

/// A worker's entry among those that are awake. It goes with the worker, however that ends.
struct Awake<K: Eq + Hash> {
    all: Arc<Mutex<HashMap<K, bool>>>,
    key: K,
    /// Whether the entry is gone; the next one under this key belongs to another worker.
    released: bool,
}

impl<K: Eq + Hash> Awake<K> {
    /// Whether somebody asked to look once more. If nobody did, the worker is not awake any longer.
    fn must_look_again(&mut self) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(again) = all.get_mut(&self.key)
            && *again
        {
            *again = false;
            return true;
        }
        all.remove(&self.key);
        self.released = true;
        false
    }
}

impl<K: Eq + Hash> Drop for Awake<K> {
    fn drop(&mut self) {
        if !self.released {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&self.key);
        }
    }
}
