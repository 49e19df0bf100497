//! Writes that happen together or not at all.

use std::marker::PhantomData;

use rocksdb::WriteBatch;

use super::{Store, StoreError, key::KeyFor, key::PrefixOf, table::Table};

/// The value of a row as it is stored: made before it is known where the row goes.
#[derive(Debug)]
pub struct Encoded<T> {
    bytes: Vec<u8>,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> Encoded<T> {
    /// The value in the form of its table.
    pub fn new(value: &T::Value) -> Result<Self, StoreError> {
        Ok(Self {
            bytes: super::encode::<T>(value)?,
            table: PhantomData,
        })
    }
}

/// Collected writes. Dropped without [`Store::commit`], they never happened.
#[must_use = "a batch that is not committed writes nothing"]
pub struct Batch {
    store: Store,
    pub(super) writes: WriteBatch,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "keys are tuples of references, made where they are used"
)]
impl Batch {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            writes: WriteBatch::default(),
        }
    }

    /// Sets a row.
    pub fn put<T: Table>(
        &mut self,
        key: impl KeyFor<T::Key>,
        value: &T::Value,
    ) -> Result<(), StoreError> {
        self.writes.put_cf(
            self.store.family::<T>()?,
            key.encode(),
            super::encode::<T>(value)?,
        );
        Ok(())
    }

    /// Sets a row to a value that was encoded before.
    pub fn put_encoded<T: Table>(
        &mut self,
        key: impl KeyFor<T::Key>,
        value: &Encoded<T>,
    ) -> Result<(), StoreError> {
        let family = self.store.family::<T>()?;
        self.writes.put_cf(family, key.encode(), &value.bytes);
        Ok(())
    }

    /// Removes a row, if it is there.
    pub fn delete<T: Table>(&mut self, key: impl KeyFor<T::Key>) -> Result<(), StoreError> {
        self.writes
            .delete_cf(self.store.family::<T>()?, key.encode());
        Ok(())
    }

    /// Removes all rows that are there now and begin with `prefix`.
    pub fn delete_all<T: Table>(
        &mut self,
        prefix: impl PrefixOf<T::Key>,
    ) -> Result<(), StoreError> {
        let family = self.store.family::<T>()?;
        for key in self.store.keys_with_prefix::<T>(prefix.encode()) {
            self.writes.delete_cf(family, key?);
        }
        Ok(())
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The size of what is to be written, in bytes.
    pub fn size_in_bytes(&self) -> usize {
        self.writes.size_in_bytes()
    }
}
