//! The end-to-end encryption of one user of an application service, and the durable store of its keys.
//!
//! `matrix-sdk-crypto` does the cryptography; nothing of Olm or Megolm is written here. A [`Machine`] is one device of one user: it takes
//! what a homeserver pushes, opens events, encrypts others, and says through [`Requests`] what it needs from the homeserver.
//!
//! Promises: a key is on disk before anybody may rely on it, as rows under a cipher ([`RowStore`], [`Cipher`]); a stored machine opens again
//! as it was, so that no ratchet is used twice; nothing here speaks to a network or knows where rows are kept.
//!
//! Specification: [end-to-end encryption](https://spec.matrix.org/v1.17/client-server-api/#end-to-end-encryption), MSC4190 (devices of an
//! application service), MSC3202 (device lists and key counts in transactions), MSC4203 (to-device messages in transactions).

mod cipher;
mod error;
mod machine;
mod row_store;
mod store;

pub use self::{
    cipher::{Cipher, NoPickleKey, PickleKey},
    error::{CannotDecrypt, EncryptionError},
    machine::{Decrypted, EncryptionChanges, Machine, Recipients, Requests},
    row_store::{Row, RowStore, RowStoreError, StoredRows},
};

#[cfg(test)]
mod tests;
