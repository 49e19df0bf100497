//! How rows are encrypted at rest.

use std::{fmt, str::FromStr};

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use ruma::serde::{Base64, base64::Standard};

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;
/// The length of a nonce, in bytes. That many can be random: two that are equal will not be seen.
const NONCE_BYTES: usize = 24;

/// What the rows of all machines are encrypted with. Whoever has it and the rows can read every message that a machine can read.
#[derive(Clone)]
pub struct PickleKey([u8; KEY_BYTES]);

/// A text is no pickle key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not {KEY_BYTES} bytes in base64")]
pub struct NoPickleKey;

impl PickleKey {
    /// A new one.
    pub fn random() -> Self {
        let mut key = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut key);
        Self(key)
    }

    /// The same as text, for a configuration.
    pub fn to_base64(&self) -> String {
        Base64::<Standard, _>::new(self.0).encode()
    }
}

impl FromStr for PickleKey {
    type Err = NoPickleKey;

    fn from_str(text: &str) -> Result<Self, NoPickleKey> {
        let bytes = Base64::<Standard>::parse(text.trim()).map_err(|_| NoPickleKey)?;
        let key = bytes.as_bytes().try_into().map_err(|_| NoPickleKey)?;
        Ok(Self(key))
    }
}

impl fmt::Debug for PickleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PickleKey")
    }
}

/// Encrypts and opens rows.
#[derive(Clone)]
pub struct Cipher(XChaCha20Poly1305);

impl Cipher {
    /// A cipher with this key.
    pub fn new(key: &PickleKey) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(key.0)))
    }

    /// Encrypts the value of the row `name`.
    pub fn seal(&self, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: value,
            aad: name,
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// Opens what [`Cipher::seal`] has made for the row of this name. `None`: with another key, for another row, or damaged.
    pub fn open(&self, name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: name,
        };
        self.0.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_row_only() {
        let key = PickleKey::random();
        let cipher = Cipher::new(&key.to_base64().parse().unwrap());
        let sealed = cipher.seal(b"row", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(
            cipher.open(b"row", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(cipher.open(b"other", &sealed), None);
        assert_eq!(
            Cipher::new(&PickleKey::random()).open(b"row", &sealed),
            None
        );
        for damaged in [&sealed[..sealed.len() - 1], &sealed[..5], &[]] {
            assert_eq!(cipher.open(b"row", damaged), None);
        }
    }

    #[test]
    fn keys_of_another_length_are_none() {
        for text in ["", "short", "AAAA", "no base64 !"] {
            assert_eq!(text.parse::<PickleKey>().unwrap_err(), NoPickleKey);
        }
    }
}
