//! The rows of keys, in the journal.

use std::fmt;

use async_trait::async_trait;
use encryption::{Row, RowStore, RowStoreError, StoredRows};
use ruma::UserId;

use crate::journal::{Journal, JournalError};

/// Keeps the rows of all our users.
pub(super) struct JournalRowStore(pub(super) Journal);

#[async_trait]
impl RowStore for JournalRowStore {
    fn load(&self, user: &UserId) -> Result<StoredRows, RowStoreError> {
        self.0.key_rows(user).map_err(failed)
    }

    async fn write(&self, user: &UserId, rows: Vec<Row>) -> Result<(), RowStoreError> {
        self.0.write_key_rows(user, rows).map_err(failed)?;
        self.0.durable().await.map_err(failed)
    }
}

impl fmt::Debug for JournalRowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalRowStore")
    }
}

fn failed(error: JournalError) -> RowStoreError {
    RowStoreError(error.into())
}
