//! What can go wrong.

use matrix_sdk_crypto::{BootstrapCrossSigningError, CryptoStoreError, MegolmError, OlmError};

/// Why a machine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError<E: std::error::Error + 'static> {
    /// The homeserver did not do its part.
    #[error(transparent)]
    Homeserver(E),
    /// The keys could not be read or written.
    #[error("the encryption keys cannot be read or written")]
    Store(#[from] CryptoStoreError),
    /// The keys do not do what was asked.
    #[error("encryption failed")]
    Olm(#[from] OlmError),
    /// The same, for a room key.
    #[error("encryption with a room key failed")]
    Megolm(#[from] MegolmError),
    /// There is no identity of its own that signs the device.
    #[error("cannot make a cross-signing identity")]
    CrossSigning(#[from] BootstrapCrossSigningError),
    /// What is to be encrypted is no event content.
    #[error("cannot read what is to be encrypted")]
    Content(#[from] serde_json::Error),
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CannotDecrypt {
    /// Its room key has not come. It may come later.
    #[error("its room key has not come")]
    NoKey,
    /// The sender's client has refused the room key.
    #[error("the sender's client withholds its room key: {0}")]
    Withheld(String),
    /// It is encrypted in a way that is not known, or damaged.
    #[error("it cannot be decrypted: {0}")]
    Damaged(String),
    /// The keys could not be read or written.
    #[error("the encryption keys cannot be read or written")]
    Store(#[source] CryptoStoreError),
}
