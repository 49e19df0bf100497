//! What the tables hold: the types of their values, below the catalogue ([`super::tables`]), one file for each module that owns some.
//!
//! The stored form is JSON: a new field has a default, and none is renamed.

pub mod accounts;
pub mod appservices;
pub mod keys;
pub mod media;
pub mod push;
pub mod rooms;
pub mod stream;
pub mod sync;
