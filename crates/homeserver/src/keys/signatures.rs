//! Signatures that somebody made of keys: of the own devices with the self-signing key, of the own master key with a device, of
//! the master key of somebody else with the user-signing key. Each is verified before it is kept.
//!
//! Others see the signatures that the owner of a key made; what somebody thinks of somebody else is only for themselves.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload>

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, DeviceId, SigningKeyAlgorithm, UserId,
    encryption::{CrossSigningKey, DeviceKeys, KeyUsage},
    serde::{Base64, base64::Standard},
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};
use serde_json::{Map, Value, value::RawValue};

use super::cross_signing;
use crate::{
    error::Result,
    limits::{SIGNATURES_PER_KEY, SIGNED_NAME_MAX_BYTES},
    store::{Batch, Store, tables},
};

/// Why a signature is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFailure {
    /// There is no such key or device, or no key to sign it with.
    #[error("there is no such key, or none that may sign it")]
    Unknown,
    /// What was signed is not the key as it is stored.
    #[error("this is not the key as this server has it")]
    Different,
    /// The signer has too many signatures of it.
    #[error("one user can have {SIGNATURES_PER_KEY} signatures of one key")]
    TooMany,
    /// No signature is by a key that may sign this, or one is wrong.
    #[error("the signature is not valid")]
    Invalid,
}

impl SignatureFailure {
    /// The error code of the specification.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "M_NOT_FOUND",
            Self::Different => "M_BAD_JSON",
            Self::TooMany => "M_TOO_LARGE",
            Self::Invalid => "M_INVALID_SIGNATURE",
        }
    }
}

/// Adds to a key the signatures that its owner and `asker` made of it.
pub fn merge(
    store: &Store,
    object: &mut Map<String, Value>,
    owner: &UserId,
    name: &str,
    asker: &UserId,
) -> Result<()> {
    for row in store.scan::<tables::KeySignatures>((owner, name)) {
        let ((_, _, signer, key_id), signature) = row?;
        if signer != owner && signer != asker {
            continue;
        }
        let all = object.entry("signatures").or_insert_with(empty);
        if !all.is_object() {
            *all = empty();
        }
        let by_signer = &mut all[signer.as_str()];
        if !by_signer.is_object() {
            *by_signer = empty();
        }
        by_signer[key_id.as_str()] = Value::String(signature);
    }
    Ok(())
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// Keeps the signatures that `signer` made of a key or device of `owner`, named by its public key or id.
pub fn add(
    store: &Store,
    batch: &mut Batch,
    signer: &UserId,
    owner: &UserId,
    name: &str,
    signed: &RawValue,
) -> Result<Result<(), SignatureFailure>> {
    if name.len() > SIGNED_NAME_MAX_BYTES {
        return Ok(Err(SignatureFailure::Unknown));
    }
    let Some((stored, signers)) = target(store, signer, owner, name)? else {
        return Ok(Err(SignatureFailure::Unknown));
    };
    let verified = verified(&stored, &signers, signer, signed);
    let signatures = match verified {
        Ok(signatures) => signatures,
        Err(unusable) => return Ok(Err(unusable)),
    };
    let (mut gone, mut kept) = (Vec::new(), 0);
    for key in store
        .scan::<tables::KeySignatures>((owner, name, signer))
        .keys()
    {
        let (_, _, _, key_id) = key?;
        if !signers.iter().any(|(signer, _)| *signer == key_id) {
            gone.push(key_id);
        } else if !signatures.iter().any(|(new, _)| *new == key_id) {
            kept += 1;
        }
    }
    if kept + signatures.len() > SIGNATURES_PER_KEY {
        return Ok(Err(SignatureFailure::TooMany));
    }
    // What a key signed that is not the signer's any more proves nothing.
    for key_id in gone {
        batch.delete::<tables::KeySignatures>((owner, name, signer, &*key_id))?;
    }
    for (key_id, signature) in signatures {
        batch.put::<tables::KeySignatures>((owner, name, signer, &*key_id), &signature)?;
    }
    Ok(Ok(()))
}

/// The keys of `signer` that may sign something: key id and public key.
type Signers = Vec<(String, String)>;

/// What is stored of the key that is signed, and which keys of the signer may sign it.
fn target(
    store: &Store,
    signer: &UserId,
    owner: &UserId,
    name: &str,
) -> Result<Option<(Box<RawValue>, Signers)>> {
    let signing_key = |usage: &KeyUsage| -> Result<Signers> {
        let key = cross_signing::get(store, signer, usage)?;
        Ok(key.iter().filter_map(cross_signing::public_key).collect())
    };
    let master = cross_signing::stored(store, owner, &KeyUsage::Master)?;
    let names_master = match &master {
        Some(master) => is_named(master, name)?,
        None => false,
    };
    if names_master {
        let signers = if signer == owner {
            device_keys(store, owner)?
        } else {
            signing_key(&KeyUsage::UserSigning)?
        };
        return Ok(master.map(|master| (master, signers)));
    }
    if signer != owner {
        return Ok(None);
    }
    let device = store.get::<tables::DeviceKeys>((owner, <&DeviceId>::from(name)))?;
    match device {
        Some(device) => Ok(Some((device, signing_key(&KeyUsage::SelfSigning)?))),
        None => Ok(None),
    }
}

fn is_named(master: &RawValue, name: &str) -> Result<bool> {
    let master: CrossSigningKey = serde_json::from_str(master.get())?;
    Ok(cross_signing::public_key(&master).is_some_and(|(_, public)| public == name))
}

/// The signing keys of all devices of a user.
fn device_keys(store: &Store, user: &UserId) -> Result<Signers> {
    let mut signers = Signers::new();
    for row in store.scan::<tables::DeviceKeys>((user,)) {
        let (_, stored) = row?;
        let device: DeviceKeys = serde_json::from_str(stored.get())?;
        let keys = device.keys.into_iter();
        signers.extend(keys.map(|(id, public)| (id.to_string(), public)));
    }
    Ok(signers)
}

/// The new signatures in `signed`: those by keys that may sign it. All of these have to be right.
fn verified(
    stored: &RawValue,
    signers: &Signers,
    signer: &UserId,
    signed: &RawValue,
) -> Result<Vec<(String, String)>, SignatureFailure> {
    let object = canonical(signed).ok_or(SignatureFailure::Different)?;
    let stored = canonical(stored).ok_or(SignatureFailure::Different)?;
    // Signatures and what is unsigned do not count.
    let same = to_canonical_json_string_for_signing(&object).ok()
        == to_canonical_json_string_for_signing(&stored).ok();
    if !same {
        return Err(SignatureFailure::Different);
    }
    let mut new = Vec::new();
    for (key_id, public) in signers {
        if let Some(signature) = signature(&object, signer, key_id) {
            if !is_signed(&object, signer, key_id, public) {
                return Err(SignatureFailure::Invalid);
            }
            new.push((key_id.clone(), signature.to_owned()));
        }
    }
    if new.is_empty() {
        return Err(SignatureFailure::Invalid);
    }
    Ok(new)
}

pub(super) fn canonical(json: &RawValue) -> Option<CanonicalJsonObject> {
    serde_json::from_str(json.get()).ok()
}

fn signature<'a>(
    object: &'a CanonicalJsonObject,
    signer: &UserId,
    key_id: &str,
) -> Option<&'a str> {
    let by_user = object.get("signatures")?.as_object()?;
    let by_key = by_user.get(signer.as_str())?.as_object()?;
    by_key.get(key_id).and_then(CanonicalJsonValue::as_str)
}

/// Whether the object has a valid signature of this user's key.
pub(super) fn is_signed(
    object: &CanonicalJsonObject,
    signer: &UserId,
    key_id: &str,
    public: &str,
) -> bool {
    let check = || {
        let signature = Base64::<Standard>::parse(signature(object, signer, key_id)?).ok()?;
        let public = Base64::<Standard>::parse(public).ok()?;
        let message = to_canonical_json_string_for_signing(object).ok()?;
        verify_canonical_json_bytes(
            &SigningKeyAlgorithm::Ed25519,
            public.as_bytes(),
            signature.as_bytes(),
            message.as_bytes(),
        )
        .ok()
    };
    check().is_some()
}
