//! How uploaded files are stored: the bytes in files, what is known about them here.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId};
use serde::{Deserialize, Serialize};

/// An uploaded file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MediaFile {
    /// Who uploaded it.
    pub uploader: OwnedUserId,
    /// What its uploader says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What its uploader calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its size in bytes; nothing while only its place is reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it came, or when its place was reserved.
    pub created: MilliSecondsSinceUnixEpoch,
    /// When it was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessed: Option<MilliSecondsSinceUnixEpoch>,
    /// Whether an admin keeps it from everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
}

/// A thumbnail that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thumbnail {
    /// What it is.
    pub content_type: String,
    /// Its size in bytes.
    pub bytes: u64,
}
