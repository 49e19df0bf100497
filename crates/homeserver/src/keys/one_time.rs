//! One-time keys, each given to one person only, and the fallback key for when there are none left.
//!
//! Keys come and go under the lock of their owner, so that two who claim at the same time never get the same one.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys>

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{
    DeviceId, OneTimeKeyAlgorithm, OwnedDeviceId, OwnedOneTimeKeyId, OwnedUserId, UInt, UserId,
    api::client::keys::claim_keys::v3::OneTimeKeys, encryption::OneTimeKey, serde::Raw,
};
use serde_json::{Value, value::RawValue};

use super::Keys;
use super::record::FallbackKey;
use crate::{
    error::{Error, Result},
    limits::{
        CLAIMS_AT_ONCE, FALLBACK_ALGORITHMS_PER_DEVICE, ONE_TIME_KEY_ID_MAX_BYTES,
        ONE_TIME_KEY_MAX_BYTES, ONE_TIME_KEYS_PER_DEVICE,
    },
    store::{Batch, Store, tables},
    stream::{Position, WakeTarget},
};

/// Keys as a client uploads them.
pub type Uploaded = BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>;

/// How many one-time keys of each algorithm a device has. The algorithm that all clients use is always named, because some take
/// a missing number for "enough".
pub fn counts(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
) -> Result<BTreeMap<OneTimeKeyAlgorithm, UInt>> {
    let mut counts = BTreeMap::from([(OneTimeKeyAlgorithm::SignedCurve25519, UInt::MIN)]);
    for key in store.scan::<tables::OneTimeKeys>((user, device)).keys() {
        let (_, _, algorithm, _) = key?;
        *counts.entry(algorithm.as_str().into()).or_default() += UInt::from(1_u8);
    }
    Ok(counts)
}

/// For which algorithms a device has a fallback key that nobody was given yet.
pub fn unused_fallback_types(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
) -> Result<Vec<OneTimeKeyAlgorithm>> {
    let mut unused = Vec::new();
    for row in store.scan::<tables::FallbackKeys>((user, device)) {
        let ((_, _, algorithm), key) = row?;
        if !key.used {
            unused.push(algorithm.as_str().into());
        }
    }
    Ok(unused)
}

/// What a device has already: its keys by their ids, and the number of the last one.
fn present(
    store: &Store,
    user: &UserId,
    device: &DeviceId,
) -> Result<(HashMap<String, Box<RawValue>>, u64)> {
    let (mut keys, mut last) = (HashMap::new(), 0);
    for row in store.scan::<tables::OneTimeKeys>((user, device)) {
        let ((_, _, _, order), (id, key)) = row?;
        last = last.max(order.0);
        keys.insert(id, key);
    }
    Ok((keys, last))
}

/// Adds one-time keys behind those that are there. The caller holds the owner's lock.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM` if another key has the same id, 413 `M_TOO_LARGE` beyond the limits.
pub fn add(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    device: &DeviceId,
    keys: &Uploaded,
) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let (present, mut last) = present(store, user, device)?;
    let mut count = present.len();
    for (id, key) in keys {
        check_size(id, key)?;
        if let Some(present) = present.get(id.as_str()) {
            if same(present, key.json())? {
                continue;
            }
            return Err(Error::invalid(format!(
                "There is another one-time key with the id {id} already"
            )));
        }
        (last, count) = (last + 1, count + 1);
        let row = (id.to_string(), key.json().to_owned());
        let algorithm = id.algorithm();
        let place = (user, device, algorithm.as_str(), Position(last));
        batch.put::<tables::OneTimeKeys>(place, &row)?;
    }
    if count > ONE_TIME_KEYS_PER_DEVICE {
        return Err(Error::too_large(format!(
            "Too many one-time keys (max {ONE_TIME_KEYS_PER_DEVICE} per device)"
        )));
    }
    Ok(())
}

/// Sets the fallback keys of these algorithms.
///
/// # Errors
///
/// 413 `M_TOO_LARGE` if a key is too large, or if the device would have keys for too many algorithms.
pub fn set_fallback(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    device: &DeviceId,
    keys: &Uploaded,
) -> Result<()> {
    let mut algorithms = BTreeSet::new();
    for key in store.scan::<tables::FallbackKeys>((user, device)).keys() {
        algorithms.insert(key?.2);
    }
    algorithms.extend(keys.keys().map(|id| id.algorithm().to_string()));
    if !keys.is_empty() && algorithms.len() > FALLBACK_ALGORITHMS_PER_DEVICE {
        return Err(Error::too_large(format!(
            "Too many fallback keys (max {FALLBACK_ALGORITHMS_PER_DEVICE} algorithms per device)"
        )));
    }
    for (id, key) in keys {
        check_size(id, key)?;
        let record = FallbackKey {
            key_id: id.to_string(),
            key: key.json().to_owned(),
            used: false,
        };
        batch.put::<tables::FallbackKeys>((user, device, id.algorithm().as_str()), &record)?;
    }
    Ok(())
}

fn check_size(id: &OwnedOneTimeKeyId, key: &Raw<OneTimeKey>) -> Result<()> {
    if id.as_str().len() > ONE_TIME_KEY_ID_MAX_BYTES
        || key.json().get().len() > ONE_TIME_KEY_MAX_BYTES
    {
        return Err(Error::too_large(format!(
            "Key or key id too long (max {ONE_TIME_KEY_MAX_BYTES} and {ONE_TIME_KEY_ID_MAX_BYTES} bytes)"
        )));
    }
    Ok(())
}

/// Whether two keys say the same, however they are written.
fn same(one: &RawValue, other: &RawValue) -> Result<bool> {
    let one: Value = serde_json::from_str(one.get())?;
    let other: Value = serde_json::from_str(other.get())?;
    Ok(one == other)
}

/// What is asked for: of each device of each user a key of this algorithm.
pub type KeyClaims = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>;

/// Gives out one key of each device, and makes sure that nobody else gets it. Devices that have none are left out.
///
/// Each user's keys are taken under the lock of that user alone, and written before the next ones are waited for: a request that
/// names thousands holds up each of them for one write, and waits for one who is busy without holding up the others.
pub async fn claim(state: &Keys, wanted: &KeyClaims) -> Result<BTreeMap<OwnedUserId, OneTimeKeys>> {
    let claims: Vec<_> = wanted
        .iter()
        .map(|(user, devices)| claim_of(state, user, devices))
        .collect();
    let claimed = stream::iter(claims).buffer_unordered(CLAIMS_AT_ONCE);
    let claimed: Vec<_> = claimed.try_collect().await?;
    Ok(claimed.into_iter().flatten().collect())
}

/// The same for one user; nothing if there is no key.
async fn claim_of(
    state: &Keys,
    user: &OwnedUserId,
    devices: &BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>,
) -> Result<Option<(OwnedUserId, OneTimeKeys)>> {
    let _alone = state.lock([&**user]).await;
    let mut write = state.stream.begin_write();
    let mut claimed = OneTimeKeys::new();
    for (device, algorithm) in devices {
        let (store, batch) = (&state.store, write.batch());
        if let Some((id, key)) = take(store, batch, user, device, algorithm.as_str())? {
            claimed.insert(device.clone(), BTreeMap::from([(id, key)]));
        }
    }
    if !write.is_empty() {
        // The position is nobody's change: it is what wakes the owner, who has fewer keys now.
        write.wake_after_commit([WakeTarget::User(user.clone())]);
        write.reserve_position();
        state.stream.commit(write).await?;
    }
    Ok((!claimed.is_empty()).then(|| (user.clone(), claimed)))
}

/// The oldest one-time key of a device, or else its fallback key.
fn take(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    device: &DeviceId,
    algorithm: &str,
) -> Result<Option<(OwnedOneTimeKeyId, Raw<OneTimeKey>)>> {
    let oldest = store
        .scan::<tables::OneTimeKeys>((user, device, algorithm))
        .next()
        .transpose()?;
    if let Some(((_, _, _, order), (id, key))) = oldest {
        batch.delete::<tables::OneTimeKeys>((user, device, algorithm, order))?;
        return Ok(Some((parsed(&id)?, Raw::from_json(key))));
    }
    let fallback = store.get::<tables::FallbackKeys>((user, device, algorithm))?;
    let Some(mut fallback) = fallback else {
        return Ok(None);
    };
    if !fallback.used {
        fallback.used = true;
        batch.put::<tables::FallbackKeys>((user, device, algorithm), &fallback)?;
    }
    Ok(Some((
        parsed(&fallback.key_id)?,
        Raw::from_json(fallback.key),
    )))
}

fn parsed(id: &str) -> Result<OwnedOneTimeKeyId> {
    OwnedOneTimeKeyId::try_from(id)
        .map_err(|error| Error::Broken(format!("a stored key has no key id: {error}")))
}
