//! How keys and their backups are stored.

use ruma::OwnedDeviceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A fallback key of a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FallbackKey {
    /// Its id, with the algorithm in front.
    pub key_id: String,
    /// The signed key.
    pub key: Box<RawValue>,
    /// Whether somebody was given it.
    #[serde(default)]
    pub used: bool,
}

/// A version of a user's key backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupVersion {
    /// The algorithm and its data, as the client gave them.
    pub algorithm: Box<RawValue>,
    /// Changes with every change of a key in it.
    pub etag: u64,
    /// How many keys are in it.
    #[serde(default)]
    pub count: u64,
    /// How many bytes the keys in it have together. Those that came before this was counted are not in it.
    #[serde(default)]
    pub bytes: u64,
    /// Whether it is gone; its number is never used again.
    #[serde(default)]
    pub deleted: bool,
}

/// A dehydrated device: one that waits, encrypted, to take what was sent while nobody was logged in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DehydratedDevice {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// The device itself, which only its owner can decrypt.
    pub device_data: Box<RawValue>,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}
