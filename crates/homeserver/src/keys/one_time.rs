//! One-time keys, each given to one person only, and the fallback key for when there are none left.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys>

use std::collections::BTreeMap;

use ruma::{DeviceId, OneTimeKeyAlgorithm, UInt, UserId};

use crate::{
    error::Result,
    store::{Store, tables},
};

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
