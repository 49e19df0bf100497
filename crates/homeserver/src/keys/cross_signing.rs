//! The keys of a person, from which everybody can tell that devices are theirs: master, self-signing and user-signing key.
//!
//! The master key signs the other two. That is verified here: a client that has to find it out shows an unverified person.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#cross-signing>

use ruma::{
    UserId,
    api::{client::keys::upload_signing_keys::v3::Request, error::ErrorKind},
    encryption::{CrossSigningKey, KeyUsage},
    serde::Raw,
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    devices,
    signatures::{self, SignatureFailure},
};
use crate::{
    error::{Error, Result},
    limits::CROSS_SIGNING_KEY_MAX_BYTES,
    store::{Batch, Store, tables},
};

/// A key that is to be set.
#[derive(Debug)]
pub struct NewKey {
    usage: KeyUsage,
    json: Box<RawValue>,
}

/// A key as it is stored.
pub(super) fn stored(
    store: &Store,
    user: &UserId,
    usage: &KeyUsage,
) -> Result<Option<Box<RawValue>>> {
    Ok(store.get::<tables::CrossSigningKeys>((user, usage.as_str()))?)
}

/// A key, parsed.
pub fn get(store: &Store, user: &UserId, usage: &KeyUsage) -> Result<Option<CrossSigningKey>> {
    let json = stored(store, user, usage)?;
    let key = json.map(|json| serde_json::from_str(json.get()));
    Ok(key.transpose()?)
}

/// The id of a key and its public part.
pub fn public_key(key: &CrossSigningKey) -> Option<(String, String)> {
    let (id, public) = key.keys.first_key_value()?;
    Some((id.to_string(), public.clone()))
}

/// A key as `asker` sees it: with the signatures that its owner and the asker made.
pub fn visible_key(
    store: &Store,
    user: &UserId,
    usage: &KeyUsage,
    asker: &UserId,
) -> Result<Option<Raw<CrossSigningKey>>> {
    let Some(json) = stored(store, user, usage)? else {
        return Ok(None);
    };
    let key: CrossSigningKey = serde_json::from_str(json.get())?;
    let mut object: Map<String, Value> = serde_json::from_str(json.get())?;
    if let Some((_, public)) = public_key(&key) {
        signatures::merge(store, &mut object, user, &public, asker)?;
    }
    Ok(Some(Raw::new(&object)?.cast_unchecked()))
}

/// What of an upload is new: keys that are there already change nothing.
///
/// # Errors
///
/// 400 if a key is not of this user, not for its use, or not signed by the master key.
pub fn new_keys(store: &Store, user: &UserId, upload: &Request) -> Result<Vec<NewKey>> {
    let given = [
        (KeyUsage::Master, &upload.master_key),
        (KeyUsage::SelfSigning, &upload.self_signing_key),
        (KeyUsage::UserSigning, &upload.user_signing_key),
    ];
    let mut master = get(store, user, &KeyUsage::Master)?;
    let mut new = Vec::new();
    for (usage, given) in given {
        let Some(given) = given else { continue };
        let key = parsed(store, user, &usage, given)?;
        if usage == KeyUsage::Master {
            master = Some(key.clone());
        } else {
            signed_by_master(user, master.as_ref(), given.json())?;
        }
        let before = get(store, user, &usage)?;
        if before.is_none_or(|before| before.keys != key.keys) {
            new.push(NewKey {
                usage,
                json: given.json().to_owned(),
            });
        }
    }
    Ok(new)
}

fn parsed(
    store: &Store,
    user: &UserId,
    usage: &KeyUsage,
    given: &Raw<CrossSigningKey>,
) -> Result<CrossSigningKey> {
    if given.json().get().len() > CROSS_SIGNING_KEY_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Cross-signing key too large (max {CROSS_SIGNING_KEY_MAX_BYTES} bytes)"
        )));
    }
    let key = given
        .deserialize()
        .map_err(|error| Error::bad_json(format!("the {usage} key: {error}")))?;
    if key.user_id != user {
        return Err(Error::invalid(format!(
            "The {usage} key is of another user"
        )));
    }
    if !key.usage.contains(usage) {
        return Err(Error::invalid(format!(
            "The {usage} key is for another use"
        )));
    }
    let public = public_key(&key).filter(|_| key.keys.len() == 1);
    let Some((_, public)) = public else {
        return Err(Error::invalid(format!(
            "The {usage} key has to be exactly one"
        )));
    };
    if devices::exists(store, user, public.as_str().into())? {
        return Err(Error::invalid(format!(
            "The {usage} key has the name of a device"
        )));
    }
    Ok(key)
}

fn signed_by_master(user: &UserId, master: Option<&CrossSigningKey>, key: &RawValue) -> Result<()> {
    let Some((id, public)) = master.and_then(public_key) else {
        return Err(Error::bad_request(
            ErrorKind::MissingParam,
            "Without a master key there can be no other cross-signing keys",
        ));
    };
    let object = signatures::canonical(key);
    if object.is_some_and(|object| signatures::is_signed(&object, user, &id, &public)) {
        return Ok(());
    }
    let kind: ErrorKind =
        serde_json::from_value(json!({ "errcode": SignatureFailure::Invalid.code() }))?;
    Err(Error::bad_request(
        kind,
        "The key is not signed by the master key",
    ))
}

/// Whether somebody who only has an access token may set these keys: the first ones, or none.
/// Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3967>
pub fn is_first(store: &Store, user: &UserId, new: &[NewKey]) -> Result<bool> {
    Ok(new.is_empty() || stored(store, user, &KeyUsage::Master)?.is_none())
}

/// Sets the keys, and forgets the signatures on those that they replace.
pub fn set(store: &Store, batch: &mut Batch, user: &UserId, new: &[NewKey]) -> Result<()> {
    for key in new {
        if let Some((_, old)) = get(store, user, &key.usage)?.as_ref().and_then(public_key) {
            batch.delete_all::<tables::KeySignatures>((user, old.as_str()))?;
        }
        batch.put::<tables::CrossSigningKeys>((user, key.usage.as_str()), &key.json)?;
    }
    Ok(())
}
