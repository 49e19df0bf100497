//! The database of the journal: every write notes whether it was possible, and a journal that cannot be written is given up.
//!
//! sled does not go on after a write that failed: some errors stay for good, and others leave a buffer that is never written, so that
//! the next flush waits for ever. So nothing is written after the first error, and the journal has to be opened anew. Until its disk has
//! room for that, it is read, and what comes is refused so that it comes again.

use std::{io, path::Path, time::Duration};

use system::{condition::StoreCondition, disk};

/// Between two looks whether the disk has room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// sled, whose methods that write are these.
#[derive(Clone)]
pub(super) struct Database {
    db: sled::Db,
    pub(super) condition: StoreCondition,
}

impl std::ops::Deref for Database {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        &self.db
    }
}

impl Database {
    pub(super) fn new(db: sled::Db) -> Self {
        Self {
            db,
            condition: StoreCondition::new("journal"),
        }
    }

    /// Fails if a write has failed before.
    pub(super) fn check(&self) -> sled::Result<()> {
        match self.condition.state().reason() {
            None => Ok(()),
            Some(reason) => Err(sled::Error::Io(io::Error::other(reason.to_owned()))),
        }
    }

    /// Notes a write that failed.
    pub(super) fn noted<T>(&self, outcome: sled::Result<T>) -> sled::Result<T> {
        outcome.inspect_err(|error| {
            if self.condition.failed(error) {
                // The last handle flushes when it is dropped, and would wait for ever.
                std::mem::forget(self.db.clone());
            }
        })
    }

    /// Flushes. Fails at once when a write fails meanwhile.
    pub(super) async fn make_durable(&self) -> sled::Result<()> {
        self.check()?;
        tokio::select! {
            flushed = self.flush() => self.noted(flushed),
            () = self.condition.until_failing() => self.check(),
        }
    }

    #[cfg(not(test))]
    async fn flush(&self) -> sled::Result<()> {
        self.db.flush_async().await.map(|_| ())
    }

    /// The same on a blocking thread of the runtime: a paused clock stands still until it is done.
    #[cfg(test)]
    async fn flush(&self) -> sled::Result<()> {
        let db = self.db.clone();
        let flushed = tokio::task::spawn_blocking(move || db.flush()).await;
        flushed.unwrap_or(Ok(0)).map(|_| ())
    }

    pub(super) fn apply_batch(&self, batch: sled::Batch) -> sled::Result<()> {
        self.check()?;
        self.noted(self.db.apply_batch(batch))
    }

    pub(super) fn insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<sled::IVec>,
    ) -> sled::Result<Option<sled::IVec>> {
        self.check()?;
        self.noted(self.db.insert(key, value))
    }

    pub(super) fn remove(&self, key: impl AsRef<[u8]>) -> sled::Result<Option<sled::IVec>> {
        self.check()?;
        self.noted(self.db.remove(key))
    }

    pub(super) fn generate_id(&self) -> sled::Result<u64> {
        self.check()?;
        self.noted(self.db.generate_id())
    }
}

/// Gives a journal up that cannot be written, as soon as opening it anew can help.
pub(super) async fn supervise(path: &Path, condition: &StoreCondition) {
    condition.until_failing().await;
    let full = condition
        .state()
        .reason()
        .is_some_and(|reason| disk::is_full(&io::Error::other(reason.to_owned())));
    while full && !disk::has_room(path) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    condition.lost();
}
