//! Supervised tasks: one per key, awake while there is work for it, and those of which there is one.
//!
//! The work itself lies in the journal; a worker looks there, does what it finds, and goes. Waking
//! one that is awake makes it look once more, so nothing that was written before a wake is missed.
//!
//! A panic costs one item, never a worker ([`Workers`]): the same item is tried [`PANICS_PER_ITEM_MAX`] times
//! and then set aside. A task that the process cannot do without ([`Tasks::spawn_essential`]) takes
//! the process with it when it ends early, so that whoever supervises the process starts it anew.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests spawn what they need and ask what time it is"
    )
)]

mod keyed;
mod supervision;

pub use keyed::{Work, Workers};
pub use supervision::{Panic, catch_panic};

use std::sync::{Arc, OnceLock};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

/// How often one item of work may panic before it is set aside.
pub const PANICS_PER_ITEM_MAX: u32 = 3;

/// Tasks that must end before the process does, and the signs that they shall.
///
/// An end comes in two steps. Closing: nothing new is begun, what has begun goes on. Stopping:
/// everything ends now, and what has not ended goes on in the next process.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    close: CancellationToken,
    stop: CancellationToken,
    failure: Arc<Failure>,
}

/// The first singleton that ended early.
#[derive(Debug, Default)]
struct Failure {
    task: OnceLock<&'static str>,
    failed: CancellationToken,
}

impl Tasks {
    /// Runs a task that is waited for at the end. A panic in it is logged and ends this task only.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The tracker waits for it; nobody else needs its handle.
        drop(self.tracker.spawn(async move {
            if let Err(panic) = catch_panic(task).await {
                error!(%panic, "a task panicked; nothing else depends on it");
            }
        }));
    }

    /// Runs a task that the process cannot do without. If it ends before the process is told to
    /// close, by a panic or otherwise, [`Tasks::failed`] says so.
    pub fn spawn_essential<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        drop(self.tracker.spawn(async move {
            match catch_panic(task).await {
                Ok(()) if tasks.is_closing() => return,
                Ok(()) => error!(task = name, "a task ended that must not; the process ends"),
                Err(panic) => error!(task = name, %panic, "a task panicked; the process ends"),
            }
            let _first = tasks.failure.task.set(name);
            tasks.failure.failed.cancel();
        }));
    }

    /// The tracker that waits for the tasks, for work that must be waited for without being a task.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Ready when a task has ended that the process cannot do without: its name.
    pub async fn failed(&self) -> &'static str {
        self.failure.failed.cancelled().await;
        self.failed_task().unwrap_or("unknown")
    }

    /// The task that ended although the process cannot do without it.
    pub fn failed_task(&self) -> Option<&'static str> {
        self.failure.task.get().copied()
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

#[cfg(test)]
mod tests;
