//! Walking through rows that share the beginning of their key.

use std::marker::PhantomData;

use rocksdb::{DB, DBIteratorWithThreadMode};

use super::{StoreError, decode, key::Key, table::Table};

/// The rows of one scan, decoded one by one. Ends at the first row outside the prefix.
pub struct Scan<'a, T> {
    rows: Result<DBIteratorWithThreadMode<'a, DB>, Option<StoreError>>,
    prefix: Vec<u8>,
    table: PhantomData<T>,
}

impl<T> std::fmt::Debug for Scan<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The first key behind all keys that begin with `prefix`; nothing if there is none.
pub(super) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

type RawRow = (Box<[u8]>, Box<[u8]>);

impl<'a, T: Table> Scan<'a, T> {
    pub(super) fn new(
        rows: Result<DBIteratorWithThreadMode<'a, DB>, StoreError>,
        prefix: Vec<u8>,
    ) -> Self {
        Self {
            rows: rows.map_err(Some),
            prefix,
            table: PhantomData,
        }
    }

    fn next_raw(&mut self) -> Option<Result<RawRow, StoreError>> {
        let rows = match &mut self.rows {
            Ok(rows) => rows,
            Err(error) => return error.take().map(Err),
        };
        if crate::blocking::is_abandoned() {
            return Some(Err(StoreError::Abandoned));
        }
        match rows.next()? {
            Ok((key, _)) if !key.starts_with(&self.prefix) => None,
            Ok(row) => Some(Ok(row)),
            Err(error) => Some(Err(error.into())),
        }
    }

    pub(super) fn into_raw_keys(
        mut self,
    ) -> impl Iterator<Item = Result<Box<[u8]>, StoreError>> + use<'a, T> {
        std::iter::from_fn(move || self.next_raw().map(|row| row.map(|(key, _)| key)))
    }

    /// Only the keys: the values are not decoded.
    pub fn keys(mut self) -> impl Iterator<Item = Result<T::Key, StoreError>> + use<'a, T> {
        std::iter::from_fn(move || {
            self.next_raw()
                .map(|row| T::Key::decode(&row?.0).ok_or(StoreError::Form { table: T::NAME }))
        })
    }
}

impl<T: Table> Iterator for Scan<'_, T> {
    type Item = Result<(T::Key, T::Value), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_raw()?;
        Some(row.and_then(|(key, value)| {
            let key = T::Key::decode(&key).ok_or(StoreError::Form { table: T::NAME })?;
            Ok((key, decode::<T>(&value)?))
        }))
    }
}
