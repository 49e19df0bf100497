//! Uploaded files and their thumbnails.
//!
//! The bytes are in files beside the database, what is known about them is in the database. A file is whole and on disk before
//! its row is: what was acknowledged survives `kill -9`, and what was not leaves at most a file that nobody names. A media id is
//! looked up before it becomes part of a path, so no request chooses a path.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::StatusCode;
use quick_cache::sync::Cache;
use rand::{Rng, distr::Alphanumeric};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedMxcUri, OwnedServerName, OwnedUserId, UserId,
    api::error::{ErrorKind, LimitExceededErrorData},
};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

mod delete;
mod disk;
mod opengraph;
mod pending_mxc;
mod preview;
mod quota;
#[cfg(test)]
mod tests;
mod thumbnail;

pub use crate::store::records::media as record;

pub use preview::Previews;
pub use thumbnail::{Fit, Size};

use crate::{
    clock,
    config::{self, Config},
    error::{Error, Result},
    limits::{DOWNLOAD_WAIT_MAX, THUMBNAILS_AT_ONCE},
    permits::{HolderLimits, Permits},
    store::{FILES_FOLDER, Store, tables},
};
use disk::Disk;
use quota::Usage;
use record::MediaFile;

/// How many characters a media id has: about 140 bits, so that nobody guesses one.
const MEDIA_ID_CHARS: usize = 24;
/// How many of them are for one user, or one application service.
const THUMBNAILS_SHARE: HolderLimits = HolderLimits {
    user: 1,
    appservice: 1,
};
/// Of how many users the pace of their reservations is remembered.
const PACES_REMEMBERED: usize = 10_000;

/// All uploaded files. Clones are the same.
#[derive(Clone, Debug)]
pub struct Media {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    disk: Disk,
    server_name: OwnedServerName,
    limits: config::Media,
    thumbnails: Permits,
    /// How much room files take.
    usage: Usage,
    /// Whoever holds this gives reserved places out or fills them.
    reserving: Mutex<()>,
    /// How many reservations each user may still make at once, as it was then.
    paces: Cache<OwnedUserId, (Instant, f64)>,
    /// Rings whenever a reserved place was filled.
    filled: Notify,
}

/// A part of a file, as it comes.
pub type Piece = Bytes;

/// A file that can be read, with what is known about it.
#[derive(Debug)]
pub struct Content {
    /// The file, from its beginning.
    pub file: tokio::fs::File,
    /// Its size in bytes.
    pub bytes: u64,
    /// What tells it from every other file: it never changes.
    pub tag: String,
    /// What it is said to be.
    pub content_type: Option<String>,
    /// How it is called.
    pub file_name: Option<String>,
}

/// A file that somebody uploads.
pub struct Upload {
    /// The file, as it comes.
    pub pieces: BoxStream<'static, Result<Piece>>,
    /// What it is said to be.
    pub content_type: Option<String>,
    /// How it is called.
    pub file_name: Option<String>,
    /// Whether the quota for each user does not count.
    pub exempt: bool,
}

impl Upload {
    /// A file that is all here already.
    pub fn whole(bytes: impl Into<Piece>, content_type: Option<String>) -> Self {
        let bytes = bytes.into();
        Self {
            pieces: stream::once(async move { Ok(bytes) }).boxed(),
            content_type,
            file_name: None,
            exempt: false,
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// 404: there is no such file here.
fn unknown_media() -> Error {
    Error::not_found("There is no such file on this server")
}

fn new_media_id() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(MEDIA_ID_CHARS)
        .map(char::from)
        .collect()
}

impl Media {
    /// The files of this database.
    pub fn open(store: Store, config: &Config) -> Result<Self> {
        let inner = Inner {
            disk: Disk::open(config.database.database_path.join(FILES_FOLDER))?,
            store,
            server_name: config.server_name.clone(),
            limits: config.media.clone(),
            thumbnails: Permits::new(THUMBNAILS_AT_ONCE, THUMBNAILS_SHARE),
            usage: Usage::default(),
            reserving: Mutex::new(()),
            paces: Cache::new(PACES_REMEMBERED),
            filled: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The `mxc://` URI of a file.
    fn uri(&self, id: &str) -> OwnedMxcUri {
        format!("mxc://{}/{id}", self.inner.server_name).into()
    }

    /// Keeps a file. It is safe on disk when this returns.
    ///
    /// # Errors
    ///
    /// 403 if the user, or everybody together, has no room for it.
    pub async fn upload(&self, user: &UserId, upload: Upload) -> Result<OwnedMxcUri> {
        let Inner {
            store,
            usage,
            limits,
            ..
        } = &*self.inner;
        usage.begin(store, limits, user, upload.exempt).await?;
        let received = self.inner.disk.receive(upload.pieces).await?;
        let who = (user, upload.exempt);
        let charge = usage.charge(store, limits, who, received.bytes).await?;
        let id = new_media_id();
        let row = MediaFile {
            uploader: user.to_owned(),
            content_type: upload.content_type,
            file_name: upload.file_name,
            bytes: Some(received.bytes),
            created: clock::now(),
            accessed: None,
            quarantined: false,
        };
        self.inner.disk.keep(received, &id).await?;
        self.inner.store.put::<tables::Media>((&*id,), &row).await?;
        charge.keep();
        Ok(self.uri(&id))
    }

    /// A file. If its place is only reserved, waits up to `patience` for it.
    ///
    /// # Errors
    ///
    /// 404 if there is none, 504 `M_NOT_YET_UPLOADED` if it did not come in time.
    pub async fn download(&self, id: &str, patience: Duration) -> Result<Content> {
        let row = self.wait_for(id, patience).await?;
        let file = self.inner.disk.open_file(id).await?;
        Ok(Content {
            file: file.ok_or_else(unknown_media)?,
            bytes: row.bytes.unwrap_or_default(),
            tag: id.to_owned(),
            content_type: row.content_type,
            file_name: row.file_name,
        })
    }

    /// The row of a file that is there.
    async fn wait_for(&self, id: &str, patience: Duration) -> Result<MediaFile> {
        let end = Instant::now() + patience.min(DOWNLOAD_WAIT_MAX);
        loop {
            let filled = self.inner.filled.notified();
            tokio::pin!(filled);
            // Registered before reading, so that no file comes unnoticed in between.
            filled.as_mut().enable();
            let row = self.inner.store.get::<tables::Media>((id,))?;
            let row = row.filter(|row| !row.quarantined);
            let row = row.ok_or_else(unknown_media)?;
            if row.bytes.is_some() {
                return Ok(row);
            }
            if self.is_expired(&row) {
                return Err(unknown_media());
            }
            if tokio::time::timeout_at(end, filled).await.is_err() {
                return Err(Error::refused(
                    StatusCode::GATEWAY_TIMEOUT,
                    ErrorKind::NotYetUploaded,
                    "The file has not been uploaded yet",
                ));
            }
        }
    }

    fn is_expired(&self, row: &MediaFile) -> bool {
        row.bytes.is_none() && self.expiry(row.created) <= clock::now()
    }

    /// When a place that was reserved then is given up.
    fn expiry(&self, created: MilliSecondsSinceUnixEpoch) -> MilliSecondsSinceUnixEpoch {
        let lives = self.inner.limits.media_create_unused_expiration_time;
        let lives = ruma::UInt::try_from(lives.as_millis()).unwrap_or(ruma::UInt::MAX);
        MilliSecondsSinceUnixEpoch(created.0.saturating_add(lives))
    }
}

/// 429 `M_LIMIT_EXCEEDED`.
fn too_many(message: impl Into<String>) -> Error {
    Error::refused(
        StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::LimitExceeded(LimitExceededErrorData::new()),
        message,
    )
}
