//! Where everything is kept, and where copies of it go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Tuwunel's folder. A folder that holds Tuwunel's own database is refused when it is opened.
const DEFAULT_DATABASE_PATH: &str = "/var/lib/tuwunel";

/// The database and its backups.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Database {
    /// The folder that holds all data, media included.
    pub database_path: PathBuf,
    /// The folder that `!admin server backup-database` writes to. Without it there are no backups.
    pub database_backup_path: Option<PathBuf>,
    /// How many backups stay; the oldest go first. At least 1.
    pub database_backups_to_keep: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            database_path: PathBuf::from(DEFAULT_DATABASE_PATH),
            database_backup_path: None,
            database_backups_to_keep: 1,
        }
    }
}
