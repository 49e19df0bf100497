//! One task per key, awake while there is work for it.
//!
//! The work itself lies in the journal; a worker looks there, does what it finds, and goes. Waking
//! one that is awake makes it look once more, so nothing that was written before a wake is missed.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tasks that must end before the process does, and the signs that they shall.
///
/// An end comes in two steps. Closing: nothing new is begun, what has begun goes on. Stopping:
/// everything ends now, and what has not ended goes on in the next process.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    close: CancellationToken,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task that is waited for at the end.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The tracker waits for it; nobody else needs its handle.
        drop(self.tracker.spawn(task));
    }

    /// Whether nothing new shall be begun.
    pub fn is_closing(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Ready when nothing new shall be begun.
    pub async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// Lets nothing new begin.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Whether tasks shall come to an end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ready when tasks shall come to an end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Tells all tasks to come to an end.
    pub fn stop(&self) {
        self.close.cancel();
        self.stop.cancel();
    }

    /// Waits until all tasks have ended.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
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
    K: Clone + Debug + Eq + Hash + Send + 'static,
{
    /// Workers that belong to `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        Self {
            awake: Arc::default(),
            tasks,
        }
    }

    /// Makes sure that `work` runs for `key` after this call. `work` does all there is to do and
    /// returns; it never runs twice at a time for one key.
    pub fn wake<F, Fut>(&self, key: K, work: F)
    where
        F: Fn(K) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
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
        let all = Arc::clone(&self.awake);
        self.tasks.spawn(async move {
            loop {
                work(key.clone()).await;
                let mut awake = all.lock().unwrap_or_else(PoisonError::into_inner);
                match awake.get_mut(&key) {
                    Some(again) if *again => *again = false,
                    _ => {
                        awake.remove(&key);
                        return;
                    }
                }
            }
        });
    }

    /// How many are awake.
    pub fn awake(&self) -> usize {
        self.awake
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_wake_during_work_makes_the_worker_look_once_more() {
        let tasks = Tasks::default();
        let workers = Workers::new(tasks.clone());
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let work = {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            move |_| {
                let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
                async move {
                    gate.acquire().await.unwrap().forget();
                    runs.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        workers.wake("room", work.clone());
        workers.wake("room", work.clone());
        workers.wake("room", work);
        gate.add_permits(5);
        tasks.ended().await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert_eq!(workers.awake(), 0);
    }
}
