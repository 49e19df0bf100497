//! Whose database this is, and of which version: asked before anything is read from it.

use std::path::Path;

use rocksdb::{DB, Options};
use ruma::ServerName;

use super::{FORMAT_VERSION, Store, StoreError, options, tables};

/// The file by which `RocksDB` knows its own folders.
const CURRENT: &str = "CURRENT";

/// Refuses a folder that holds a database of another program, before that database is opened and changed.
pub(super) fn refuse_foreign(directory: &Path) -> Result<(), StoreError> {
    if !directory.join(CURRENT).exists() {
        return Ok(());
    }
    let tables = DB::list_cf(&Options::default(), directory)?;
    // A start that died while the tables were made leaves only the default one behind.
    if tables.len() > 1 && !tables.iter().any(|table| table == options::OURS) {
        let path = directory.display();
        return Err(StoreError::Foreign(
            if tables.iter().any(|table| table == "pduid_pdu") {
                format!(
                    "{path} holds a database of Tuwunel or one of its relatives. The embedded homeserver is compatible with \
                 its configuration, admin commands and API, not with its database. Set database_path to an empty folder"
                )
            } else {
                format!(
                    "{path} holds a database of another program. Set database_path to an empty folder"
                )
            },
        ));
    }
    Ok(())
}

/// Compares the format version and the server name with what this start wants, and writes them at the first start.
pub(super) fn check(store: &Store, server_name: &ServerName) -> Result<(), StoreError> {
    let path = store.path().display();
    match store.get::<tables::Meta>(("format version",))? {
        Some(version) if version.as_u64() == Some(u64::from(FORMAT_VERSION)) => {}
        Some(version) => {
            return Err(StoreError::Foreign(format!(
                "the database in {path} has the format {version}; this version knows {FORMAT_VERSION}. \
                 Start the newer program again, or restore a backup that was made before"
            )));
        }
        None => {
            let mut batch = store.batch();
            batch.put::<tables::Meta>(("format version",), &FORMAT_VERSION.into())?;
            batch.put::<tables::Meta>(("server name",), &server_name.as_str().into())?;
            store.commit_blocking(batch)?;
        }
    }
    match store.get::<tables::Meta>(("server name",))? {
        Some(name) if name.as_str() == Some(server_name.as_str()) => Ok(()),
        name => Err(StoreError::Foreign(format!(
            "the database in {path} belongs to the server name {}, and server_name says {server_name}. A server name can \
             never change: set it back, or set database_path to an empty folder",
            name.unwrap_or_default()
        ))),
    }
}
