//! Where the keys of a machine lie: rows that somebody else keeps.

use std::fmt::Debug;

use async_trait::async_trait;
use ruma::UserId;

/// A row could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the store of encryption keys failed")]
pub struct RowStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A row: its name, and its value or that it goes.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// Rows as they are kept: names and sealed values.
pub type StoredRows = Vec<(Vec<u8>, Vec<u8>)>;

/// Keeps rows for each user.
#[async_trait]
pub trait RowStore: Debug + Send + Sync {
    /// All rows of a user, in any order.
    fn load(&self, user: &UserId) -> Result<StoredRows, RowStoreError>;

    /// Writes these rows, all or none of them, and returns when they are on disk.
    async fn write(&self, user: &UserId, rows: Vec<Row>) -> Result<(), RowStoreError>;
}
