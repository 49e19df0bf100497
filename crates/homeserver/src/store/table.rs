//! What a table is, and the macro that writes the catalogue.

use serde::{Serialize, de::DeserializeOwned};

use super::key::Key;

/// How a column family is used, so that `RocksDB` can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPattern {
    /// Small rows that are looked up one by one.
    Lookup,
    /// Rows that are read in the order of their keys, forwards or backwards.
    Sequence,
}

/// One column family: what its keys and values are.
pub trait Table {
    /// The name of the column family on disk. Never changes.
    const NAME: &'static str;
    /// How it is used.
    const SHAPE: AccessPattern;
    /// The version that values are written in, the first byte of each.
    const VERSION: u8;
    /// A tuple of parts.
    type Key: Key;
    /// What is stored, as JSON behind the version byte.
    type Value: Serialize + DeserializeOwned;
}

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $shape:ident ($($key:ty),+) => $value:ty;)*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}

            impl $crate::store::table::Table for $name {
                const NAME: &'static str = $text;
                const SHAPE: $crate::store::table::AccessPattern = $crate::store::table::AccessPattern::$shape;
                const VERSION: u8 = 1;
                type Key = ($($key,)+);
                type Value = $value;
            }
        )*

        /// Every column family, with its use.
        pub const ALL: &[(&str, $crate::store::table::AccessPattern)] =
            &[$((<$name as $crate::store::table::Table>::NAME, <$name as $crate::store::table::Table>::SHAPE)),*];
    };
}

pub(super) use catalogue;
