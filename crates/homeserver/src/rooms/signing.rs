//! The key that signs what this server says: made once, kept in the database.

use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, distr::Alphanumeric};
use ruma::signatures::{Ed25519KeyPair, JsonError};
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    limits::EVENT_MAX_BYTES,
    store::{Store, tables},
};

/// How many characters the name of a key has.
const KEY_NAME_CHARS: usize = 6;

/// The signing key of this database.
pub(super) async fn key(store: &Store) -> Result<Ed25519KeyPair> {
    if let Some(kept) = store.get::<tables::Meta>(("signing key",))? {
        return read(&kept).ok_or_else(|| {
            Error::Broken("the signing key in the database cannot be read".to_owned())
        });
    }
    let name: String = rand::rng()
        .sample_iter(Alphanumeric)
        .take(KEY_NAME_CHARS)
        .map(char::from)
        .collect();
    let document = Ed25519KeyPair::generate();
    let kept = json!({ "name": format!("a_{name}"), "pkcs8": BASE64_STANDARD.encode(&*document) });
    store.put::<tables::Meta>(("signing key",), &kept).await?;
    read(&kept).ok_or_else(|| Error::Broken("a new signing key cannot be read".to_owned()))
}

/// Why something cannot be signed, so that it cannot be an event.
pub(super) fn unsignable(error: JsonError) -> Error {
    match error {
        JsonError::PduTooLarge => {
            Error::too_large(format!("Event too large (max {EVENT_MAX_BYTES} bytes)"))
        }
        error => Error::bad_json(format!("this cannot be an event: {error}")),
    }
}

fn read(kept: &Value) -> Option<Ed25519KeyPair> {
    let document = BASE64_STANDARD.decode(kept.get("pkcs8")?.as_str()?).ok()?;
    Ed25519KeyPair::from_der(&document, kept.get("name")?.as_str()?.to_owned()).ok()
}
