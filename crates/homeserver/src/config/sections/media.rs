//! Limits of files that people upload.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::{Bytes, seconds};

/// How long a reserved `mxc://` URI waits for its file: one day.
const DEFAULT_UNUSED_EXPIRATION: Duration = Duration::from_hours(24);

/// The largest picture that a thumbnail is made of, in pixels. Each takes four bytes while at it.
const DEFAULT_MAX_PIXELS: u64 = 50_000_000;

/// The files of one user: 10 GiB.
const DEFAULT_QUOTA_PER_USER: Bytes = Bytes::mebibytes(10 << 10);

/// The files of all users together: 100 GiB.
const DEFAULT_QUOTA_TOTAL: Bytes = Bytes::mebibytes(100 << 10);

/// The media repository. The largest file is `max_request_size`, see [`super::Listen`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// How many `mxc://` URIs one user can reserve without a file.
    pub max_pending_media_uploads: usize,
    /// How long such a reservation lives, in seconds.
    #[serde(with = "seconds")]
    pub media_create_unused_expiration_time: Duration,
    /// How many reservations one user can make in a second.
    pub media_rc_create_per_second: u32,
    /// How many at once, after a rest.
    pub media_rc_create_burst_count: u32,
    /// How many bytes of files one user can have here; 0 for no limit. A key of this server's own.
    pub media_quota_per_user: Bytes,
    /// How many bytes of files all users can have together; 0 for no limit. A key of this server's own.
    pub media_quota_total: Bytes,
    /// The largest picture that a thumbnail is made of, in pixels.
    pub media_thumbnail_max_pixels: u64,
    /// Whether files are served to people without an account, as before Matrix 1.11.
    pub allow_legacy_media: bool,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            max_pending_media_uploads: 5,
            media_create_unused_expiration_time: DEFAULT_UNUSED_EXPIRATION,
            media_rc_create_per_second: 10,
            media_rc_create_burst_count: 50,
            media_quota_per_user: DEFAULT_QUOTA_PER_USER,
            media_quota_total: DEFAULT_QUOTA_TOTAL,
            media_thumbnail_max_pixels: DEFAULT_MAX_PIXELS,
            allow_legacy_media: false,
        }
    }
}
