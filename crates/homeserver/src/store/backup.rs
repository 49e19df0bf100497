//! Copies of the database, made while it is in use, and back again.
//!
//! Only the database: uploaded files lie in a folder of their own beside it, and are copied like any other files.

use std::path::Path;

use rocksdb::{
    Env,
    backup::{BackupEngine, BackupEngineOptions, RestoreOptions},
    perf::get_memory_usage_stats,
};

use super::{Store, StoreError};

/// A backup.
#[derive(Clone, Copy, Debug)]
pub struct Backup {
    /// Its number.
    pub id: u32,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many files it has.
    pub files: u32,
}

fn engine(folder: &Path) -> Result<BackupEngine, StoreError> {
    std::fs::create_dir_all(folder)?;
    Ok(BackupEngine::open(
        &BackupEngineOptions::new(folder)?,
        &Env::new()?,
    )?)
}

/// Makes a backup, keeps the newest `keep`, and gives its number. Blocks.
pub fn create(store: &Store, folder: &Path, keep: usize) -> Result<u32, StoreError> {
    let mut engine = engine(folder)?;
    engine.create_new_backup_flush(store.engine(), true)?;
    engine.purge_old_backups(keep.max(1))?;
    let newest = engine
        .get_backup_info()
        .into_iter()
        .map(|info| info.backup_id);
    newest.max().ok_or(StoreError::Lost)
}

/// All backups, oldest first.
pub fn list(folder: &Path) -> Result<Vec<Backup>, StoreError> {
    let infos = engine(folder)?.get_backup_info();
    let backups = infos.into_iter().map(|info| Backup {
        id: info.backup_id,
        time: info.timestamp,
        bytes: info.size,
        files: info.num_files,
    });
    Ok(backups.collect())
}

/// Fails unless every file of the backup is there and whole.
pub fn verify(folder: &Path, id: u32) -> Result<(), StoreError> {
    Ok(engine(folder)?.verify_backup(id)?)
}

/// Deletes all backups but the newest.
pub fn purge(folder: &Path, keep: usize) -> Result<(), StoreError> {
    Ok(engine(folder)?.purge_old_backups(keep)?)
}

/// Writes a backup, the newest if none is named, into an empty folder. The server must not run on it.
///
/// # Errors
///
/// If there is no such backup, or the folder holds a database already.
pub fn restore(folder: &Path, id: Option<u32>, into: &Path) -> Result<(), StoreError> {
    if into.join("CURRENT").exists() {
        return Err(StoreError::Foreign(format!(
            "{} holds a database. Move it away before a backup is restored",
            into.display()
        )));
    }
    let (mut engine, options) = (engine(folder)?, RestoreOptions::default());
    match id {
        Some(id) => engine.restore_from_backup(into, into, &options, id)?,
        None => engine.restore_from_latest_backup(into, into, &options)?,
    }
    Ok(())
}

/// What the tables keep in memory, in bytes.
pub(crate) fn memory(store: &Store) -> Result<u64, StoreError> {
    Ok(get_memory_usage_stats(Some(&[store.engine()]), None)?.mem_table_total)
}
