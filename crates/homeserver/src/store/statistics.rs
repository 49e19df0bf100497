//! What `RocksDB` says of itself, for whoever looks for a fault.

use super::{Store, StoreError, tables};

/// The property that says most, with a line for each level of a table.
const EVERYTHING: &str = "rocksdb.stats";

impl Store {
    /// A property of the database, or of each table (or of one) by its name. Properties that `RocksDB` does not know are left out.
    pub(crate) fn statistics(
        &self,
        property: Option<&str>,
        table: Option<&str>,
    ) -> Result<Vec<(&'static str, String)>, StoreError> {
        let property = property.unwrap_or(EVERYTHING);
        let mut found = Vec::new();
        for &(name, _) in tables::ALL {
            if table.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let family = self.engine().cf_handle(name);
            let family = family.ok_or(StoreError::NoTable(name))?;
            let value = self.engine().property_value_cf(family, property)?;
            found.extend(value.map(|value| (name, value)));
        }
        Ok(found)
    }
}
