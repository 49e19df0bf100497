//! The database: one `RocksDB`, its tables as one typed catalogue ([`tables`]), reads without locks, writes in batches.
//!
//! What [`Store::commit`] has acknowledged is in the write-ahead log and survives `kill -9` and a loss of power: `RocksDB` joins the
//! batches of all who wait into one write and one sync. Keys are big-endian, every value begins with the version of its format,
//! and a database of another format version, of another server name or of another program is refused in words.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rocksdb::{ColumnFamily, DB, Direction, FlushOptions, IteratorMode, ReadOptions, WriteOptions};
use serde::{Deserialize, Serialize};
use system::{condition::StoreCondition, private};
use tokio::time::Instant;

pub mod backup;
mod batch;
mod expiry;
mod format;
pub mod key;
mod options;
pub mod records;
mod scan;
mod statistics;
mod supervise;
pub mod table;
pub mod tables;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Encoded};
use key::{KeyFor, PrefixOf};
pub use scan::Scan;
pub use supervise::supervise;
use table::Table;

/// The version of the layout as a whole. A database with a higher one is refused, one with a lower one is moved up at start.
pub const FORMAT_VERSION: u32 = 1;

/// The folder of files that are too large for tables, in the folder of the database. A file in it never changes.
pub const FILES_FOLDER: &str = "media";

/// A commit that takes longer than this is said in the log, in milliseconds: the disk is the bottleneck then.
const SLOW_COMMIT_MS: u128 = 500;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `RocksDB` refused.
    #[error("the database could not be read or written")]
    Rocks(#[from] rocksdb::Error),
    /// `RocksDB` did not write. What was acknowledged before is safe.
    #[error("the database could not be written")]
    Unwritable(#[source] rocksdb::Error),
    /// Another process has the database open.
    #[error(
        "the database in {} is in use by another process: stop that one first", .path.display()
    )]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// The database on disk is not ours, or not of this version.
    #[error("{0}")]
    Foreign(String),
    /// A backup is not what it should be.
    #[error("{0}")]
    Backup(String),
    /// A table is missing, which only a bug can cause.
    #[error("the table {0} is not in the database")]
    NoTable(&'static str),
    /// A row cannot be read.
    #[error("a row of the table {table} cannot be read")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A row or a key is not in the form of its table.
    #[error("a row of the table {table} is not in the form that this version knows")]
    Form {
        /// The table.
        table: &'static str,
    },
    /// Nobody waits any more for what is read.
    #[error("the caller has gone")]
    Abandoned,
    /// The task that wrote was lost.
    #[error("a write was aborted")]
    Lost,
    /// A file beside the database could not be read or written.
    #[error("a file beside the database could not be read or written")]
    File(#[from] std::io::Error),
}

/// A handle to the database; clones are the same database.
#[derive(Clone)]
pub struct Store {
    db: Arc<DB>,
    #[cfg(test)]
    counted: Arc<tests::Counted>,
    condition: StoreCondition,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.db.path())
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

/// The first byte of `value` is the version of its format, the rest is JSON.
fn encode<T: Table>(value: &T::Value) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![T::VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|source| StoreError::Row {
        table: T::NAME,
        source,
    })?;
    Ok(bytes)
}

fn decode<T: Table>(bytes: &[u8]) -> Result<T::Value, StoreError> {
    match bytes.split_first() {
        Some((&version, json)) if version == T::VERSION => {
            serde_json::from_slice(json).map_err(|source| StoreError::Row {
                table: T::NAME,
                source,
            })
        }
        _ => Err(StoreError::Form { table: T::NAME }),
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "keys are tuples of references, made where they are used"
)]
impl Store {
    /// Opens the database in `directory`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// If another process has it open, if it belongs to another server name, to a newer version or to another program.
    pub fn open(directory: &Path, server_name: &ruma::ServerName) -> Result<Self, StoreError> {
        let started = Instant::now();
        format::refuse_foreign(directory)?;
        // Password hashes, tokens and keys are in it.
        private::tighten(directory)?;
        private::create_folder(directory)?;
        let opened = DB::open_cf_descriptors(&options::database(), directory, options::families());
        let db = opened.map_err(|error| locked(error, directory))?;
        let store = Self {
            db: Arc::new(db),
            #[cfg(test)]
            counted: Arc::default(),
            condition: StoreCondition::new("database"),
        };
        format::check(&store, server_name)?;
        tracing::debug!(path = %directory.display(), took = ?started.elapsed(), "database open");
        Ok(store)
    }

    fn family<T: Table>(&self) -> Result<&ColumnFamily, StoreError> {
        self.db
            .cf_handle(T::NAME)
            .ok_or(StoreError::NoTable(T::NAME))
    }

    /// The row with this key, if there is one.
    pub fn get<T: Table>(&self, key: impl KeyFor<T::Key>) -> Result<Option<T::Value>, StoreError> {
        #[cfg(test)]
        self.counted.reads.add(1);
        match self.db.get_pinned_cf(self.family::<T>()?, key.encode())? {
            Some(bytes) => decode::<T>(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is a row with this key.
    pub fn contains<T: Table>(&self, key: impl KeyFor<T::Key>) -> Result<bool, StoreError> {
        Ok(self
            .db
            .get_pinned_cf(self.family::<T>()?, key.encode())?
            .is_some())
    }

    /// All rows whose key begins with `prefix`, in the order of their keys.
    pub fn scan<T: Table>(&self, prefix: impl PrefixOf<T::Key>) -> Scan<'_, T> {
        let prefix = prefix.encode();
        self.walk(&prefix.clone(), prefix, Direction::Forward)
    }

    /// All rows whose key begins with `prefix`, last first.
    pub fn scan_back<T: Table>(&self, prefix: impl PrefixOf<T::Key>) -> Scan<'_, T> {
        let prefix = prefix.encode();
        let mut last = prefix.clone();
        // No part of a key begins with sixteen bytes of 0xFF: behind all rows of the prefix.
        last.extend_from_slice(&[0xFF; 16]);
        self.walk(&last, prefix, Direction::Reverse)
    }

    /// The rows whose key begins with `prefix`, from the key `from` (included, if it exists) upwards.
    pub fn scan_from<T: Table>(
        &self,
        prefix: impl PrefixOf<T::Key>,
        from: impl KeyFor<T::Key>,
    ) -> Scan<'_, T> {
        self.walk(&from.encode(), prefix.encode(), Direction::Forward)
    }

    /// The rows whose key begins with `prefix`, from the key `from` (included, if it exists) downwards.
    pub fn scan_back_from<T: Table>(
        &self,
        prefix: impl PrefixOf<T::Key>,
        from: impl KeyFor<T::Key>,
    ) -> Scan<'_, T> {
        self.walk(&from.encode(), prefix.encode(), Direction::Reverse)
    }

    fn walk<T: Table>(&self, from: &[u8], prefix: Vec<u8>, direction: Direction) -> Scan<'_, T> {
        #[cfg(test)]
        self.counted.reads.add(1);
        crate::blocking::check_not_on_async_worker(T::NAME);
        let family = self.family::<T>();
        let mut reading = ReadOptions::default();
        if matches!(direction, Direction::Forward)
            && let Some(end) = scan::end_of(&prefix)
        {
            reading.set_iterate_upper_bound(end);
        }
        let rows = family.map(|family| {
            self.db
                .iterator_cf_opt(family, reading, IteratorMode::From(from, direction))
        });
        Scan::new(rows, prefix)
    }

    fn keys_with_prefix<'a, T: Table + 'a>(
        &'a self,
        prefix: Vec<u8>,
    ) -> impl Iterator<Item = Result<Box<[u8]>, StoreError>> + 'a {
        self.walk::<T>(&prefix.clone(), prefix, Direction::Forward)
            .into_raw_keys()
    }

    /// An empty batch for this database.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// Writes the batch, and returns when it is safe on disk. Blocks: [`Store::commit`] is for async code.
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), StoreError> {
        let started = Instant::now();
        #[cfg(test)]
        self.counted.written.add(batch.size_in_bytes() as u64);
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.noted(self.db.write_opt(batch.writes, &options))?;
        let took = started.elapsed().as_millis();
        if took > SLOW_COMMIT_MS {
            tracing::warn!(milliseconds = took, "slow write to the database");
        }
        Ok(())
    }

    /// Notes whether the database can be written. Every write goes through here.
    fn noted(&self, outcome: Result<(), rocksdb::Error>) -> Result<(), StoreError> {
        outcome.map_err(|error| {
            self.condition.failed(&error);
            StoreError::Unwritable(error)
        })
    }

    /// Whether the database can be written; kept up to date by `supervise()`.
    pub fn condition(&self) -> &StoreCondition {
        &self.condition
    }

    /// Writes the batch, and returns when it is safe on disk. It is written even if nobody waits for it any more.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.commit_blocking(batch))
            .await
            .map_err(|_| StoreError::Lost)?
    }

    /// Writes the batch without waiting for the disk: it outlives this process, but not a loss of power.
    pub async fn commit_unsynced(&self, batch: Batch) -> Result<(), StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.noted(store.db.write(batch.writes)))
            .await
            .map_err(|_| StoreError::Lost)?
    }

    /// Writes into files what is only in memory and in the log: the next start has nothing to read again. Nothing is lost without it.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || {
            let families = tables::ALL
                .iter()
                .filter_map(|(name, _)| store.db.cf_handle(name));
            let families: Vec<&ColumnFamily> = families.collect();
            let options = FlushOptions::default();
            store.noted(store.db.flush_cfs_opt(&families, &options))
        })
        .await
        .map_err(|_| StoreError::Lost)?
    }

    /// Sets one row; see [`Store::commit`].
    pub async fn put<T: Table>(
        &self,
        key: impl KeyFor<T::Key>,
        value: &T::Value,
    ) -> Result<(), StoreError> {
        let mut batch = self.batch();
        batch.put::<T>(key, value)?;
        self.commit(batch).await
    }

    /// The folder of the database.
    pub fn path(&self) -> &Path {
        self.db.path()
    }

    /// The engine itself, for backups and figures.
    pub(crate) fn engine(&self) -> &DB {
        &self.db
    }
}

/// What it means that the database cannot be opened, where `RocksDB` has only words for it.
fn locked(error: rocksdb::Error, directory: &Path) -> StoreError {
    if error.kind() == rocksdb::ErrorKind::IOError && error.as_ref().contains("lock") {
        let path = directory.to_owned();
        return StoreError::InUse { path };
    }
    error.into()
}

/// A row that says only that it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exists {}
