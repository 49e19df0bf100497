//! The rows of keys, in the journal.

use std::fmt;

use async_trait::async_trait;
use encryption::{Row, Rows, RowsError, StoredRows};
use ruma::UserId;

use crate::journal::{Journal, JournalError};

/// Keeps the rows of all our users.
pub(super) struct JournalRows(pub(super) Journal);

#[async_trait]
impl Rows for JournalRows {
    fn load(&self, user: &UserId) -> Result<StoredRows, RowsError> {
        self.0.key_rows(user).map_err(failed)
    }

    async fn write(&self, user: &UserId, rows: Vec<Row>) -> Result<(), RowsError> {
        self.0.write_key_rows(user, rows).map_err(failed)?;
        self.0.durable().await.map_err(failed)
    }
}

impl fmt::Debug for JournalRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalRows")
    }
}

fn failed(error: JournalError) -> RowsError {
    RowsError(error.into())
}
