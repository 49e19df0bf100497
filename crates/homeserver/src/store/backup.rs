//! Copies of the database and of the files beside it, made while both are in use, and back again.
//!
//! The tables go first and the files after them: a row is written only when its file is there, so every row of a copy finds its
//! file. Files never change, so each is copied once, however many backups have it. A backup is whole when its list of files is
//! written, which is the last step; what stopped before that is no backup.

use std::path::Path;

use rocksdb::{
    Env,
    backup::{BackupEngine, BackupEngineOptions, RestoreOptions},
    perf::get_memory_usage_stats,
};

use system::private;

use super::{FILES_FOLDER, Store, StoreError};
use files::Files;

mod files;
#[cfg(test)]
mod tests;

/// What the folder of backups holds: `RocksDB`'s own entries, and those of [`files`].
const OURS: [&str; 7] = [
    "LOCK",
    "LOG",
    "meta",
    "private",
    "shared",
    "shared_checksum",
    files::FOLDER,
];

/// A backup.
#[derive(Clone, Copy, Debug)]
pub struct Backup {
    /// Its number.
    pub id: u32,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its size in bytes, with the files.
    pub bytes: u64,
    /// How many files it has.
    pub files: u32,
}

fn engine(folder: &Path) -> Result<BackupEngine, StoreError> {
    tighten(folder)?;
    private::create_folder(folder)?;
    Ok(BackupEngine::open(
        &BackupEngineOptions::new(folder)?,
        &Env::new()?,
    )?)
}

/// Closes what earlier versions left open to other users. The folder itself may be one that backups of other programs are in: it is
/// closed only if nothing else is.
fn tighten(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut alone = true;
    for entry in entries {
        let entry = entry?;
        if OURS.iter().any(|name| entry.file_name() == *name) {
            private::tighten_entry(&entry.path())?;
        } else {
            alone = false;
        }
    }
    if alone {
        private::tighten(folder)?;
    }
    Ok(())
}

/// Makes a backup, keeps the newest `keep`, and gives its number. Blocks.
pub fn create(store: &Store, folder: &Path, keep: usize) -> Result<u32, StoreError> {
    let mut engine = engine(folder)?;
    engine.create_new_backup_flush(store.engine(), true)?;
    let newest = engine
        .get_backup_info()
        .into_iter()
        .map(|info| info.backup_id);
    let newest = newest.max().ok_or(StoreError::Lost)?;
    let files = Files::of_backups(folder);
    files.copy_in(&store.path().join(FILES_FOLDER), newest)?;
    purge_with(&mut engine, &files, keep)?;
    Ok(newest)
}

/// All backups, oldest first.
pub fn list(folder: &Path) -> Result<Vec<Backup>, StoreError> {
    let files = Files::of_backups(folder);
    let mut backups = Vec::new();
    for info in engine(folder)?.get_backup_info() {
        if let Some(list) = files.list(info.backup_id)? {
            let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
            backups.push(Backup {
                id: info.backup_id,
                time: info.timestamp,
                bytes: info.size + list.values().map(|file| file.bytes).sum::<u64>(),
                files: info.num_files.saturating_add(count),
            });
        }
    }
    Ok(backups)
}

/// Fails unless every file of the backup is there and whole. Reads all of them. Blocks.
pub fn verify(folder: &Path, id: u32) -> Result<(), StoreError> {
    engine(folder)?.verify_backup(id)?;
    Files::of_backups(folder).verify(id)
}

/// Deletes all backups but the newest.
pub fn purge(folder: &Path, keep: usize) -> Result<(), StoreError> {
    purge_with(&mut engine(folder)?, &Files::of_backups(folder), keep)
}

fn purge_with(engine: &mut BackupEngine, files: &Files, keep: usize) -> Result<(), StoreError> {
    engine.purge_old_backups(keep.max(1))?;
    let left = engine.get_backup_info();
    files.keep_only(&left.iter().map(|info| info.backup_id).collect::<Vec<_>>())
}

/// Writes a backup, the newest if none is named, into an empty folder. The server must not run on it. Blocks.
///
/// # Errors
///
/// If there is no such backup, a file of it is not what it was, or the folder holds a database already.
pub fn restore(folder: &Path, id: Option<u32>, into: &Path) -> Result<(), StoreError> {
    if into.join("CURRENT").exists() {
        return Err(StoreError::Foreign(format!(
            "{} holds a database. Move it away before a backup is restored",
            into.display()
        )));
    }
    let newest = || Ok::<_, StoreError>(list(folder)?.last().map(|backup| backup.id));
    let id = match id {
        Some(id) => id,
        None => newest()?.ok_or_else(|| StoreError::Backup("there is no backup".to_owned()))?,
    };
    // The tables last: a folder with tables is one that was restored to its end.
    Files::of_backups(folder).copy_out(id, &into.join(FILES_FOLDER))?;
    private::create_folder(into)?;
    let (mut engine, options) = (engine(folder)?, RestoreOptions::default());
    Ok(engine.restore_from_backup(into, into, &options, id)?)
}

/// What the tables keep in memory, in bytes.
pub(crate) fn memory(store: &Store) -> Result<u64, StoreError> {
    Ok(get_memory_usage_stats(Some(&[store.engine()]), None)?.mem_table_total)
}
