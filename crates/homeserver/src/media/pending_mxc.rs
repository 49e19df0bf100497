//! Places for files that come later: a client sends the `mxc://` URI before the upload has ended.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create>

use std::time::Duration;

use http::StatusCode;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedMxcUri, UserId, api::error::ErrorKind};
use tokio::time::Instant;

use super::{Media, Upload, new_media_id, record::MediaFile, too_many, unknown_media};
use crate::{
    clock,
    error::{Error, Result},
    store::{Batch, Exists, tables},
};

impl Media {
    /// Reserves a place, and says until when. `limited` is whether the user has to keep to the pace of people.
    ///
    /// # Errors
    ///
    /// 429 if the user has reserved too many without filling them.
    pub async fn create_pending_mxc(
        &self,
        user: &UserId,
        limited: bool,
    ) -> Result<(OwnedMxcUri, MilliSecondsSinceUnixEpoch)> {
        let inner = &self.inner;
        let _one_at_a_time = inner.reserving.lock().await;
        if limited {
            self.keep_pace(user)?;
        }
        let mut batch = inner.store.batch();
        let mut open = 0;
        for key in inner.store.scan::<tables::PendingMedia>((user,)).keys() {
            let (_, id) = key?;
            match inner.store.get::<tables::Media>((&*id,))? {
                Some(row) if !self.is_expired(&row) => open += 1,
                _ => {
                    batch.delete::<tables::PendingMedia>((user, &*id))?;
                    batch.delete::<tables::Media>((&*id,))?;
                }
            }
        }
        let limit = inner.limits.max_pending_media_uploads;
        if open >= limit {
            return Err(too_many(format!(
                "You have reserved places for {limit} files that are not uploaded yet"
            )));
        }
        let id = new_media_id();
        let row = MediaFile {
            uploader: user.to_owned(),
            content_type: None,
            file_name: None,
            bytes: None,
            created: clock::now(),
            accessed: None,
            quarantined: false,
        };
        batch.put::<tables::Media>((&*id,), &row)?;
        batch.put::<tables::PendingMedia>((user, &*id), &Exists {})?;
        inner.store.commit(batch).await?;
        Ok((self.uri(&id), self.expiry(row.created)))
    }

    /// Gives up the places that a user reserved and has not filled.
    pub fn forget_reservations(&self, batch: &mut Batch, user: &UserId) -> Result<()> {
        for key in self
            .inner
            .store
            .scan::<tables::PendingMedia>((user,))
            .keys()
        {
            let (_, id) = key?;
            batch.delete::<tables::PendingMedia>((user, &*id))?;
            batch.delete::<tables::Media>((&*id,))?;
        }
        Ok(())
    }

    /// Counts one reservation against what the user may make in a second. Only whoever holds `reserving` asks.
    fn keep_pace(&self, user: &UserId) -> Result<()> {
        let inner = &self.inner;
        let burst = f64::from(inner.limits.media_rc_create_burst_count);
        let per_second = f64::from(inner.limits.media_rc_create_per_second);
        let now = Instant::now();
        let (at, left) = inner.paces.get(user).unwrap_or((now, burst));
        let rested = now.duration_since(at).as_secs_f64() * per_second;
        let left = (left + rested).min(burst) - 1.0;
        if left < 0.0 {
            let wait = Duration::try_from_secs_f64(-left / per_second).unwrap_or(Duration::MAX);
            return Err(Error::limit_exceeded(
                wait,
                "You reserve places faster than this server allows",
            ));
        }
        inner.paces.insert(user.to_owned(), (now, left));
        Ok(())
    }

    /// Puts a file into a place that the same user reserved.
    ///
    /// # Errors
    ///
    /// 404 if there is no such place, 403 if it is another user's or there is no room for the file, 409 `M_CANNOT_OVERWRITE_MEDIA` if it is filled.
    pub async fn upload_pending(&self, user: &UserId, id: &str, upload: Upload) -> Result<()> {
        let inner = &self.inner;
        self.reserved(user, id)?;
        let (store, limits) = (&inner.store, &inner.limits);
        inner
            .usage
            .begin(store, limits, user, upload.exempt)
            .await?;
        let received = inner.disk.receive(upload.pieces).await?;
        // Looked at again: the file may have taken long, and another one may have come first.
        let _one_at_a_time = inner.reserving.lock().await;
        let row = MediaFile {
            content_type: upload.content_type,
            file_name: upload.file_name,
            bytes: Some(received.bytes),
            ..self.reserved(user, id)?
        };
        let who = (user, upload.exempt);
        let charge = inner
            .usage
            .charge(store, limits, who, received.bytes)
            .await?;
        inner.disk.keep(received, id).await?;
        let mut batch = inner.store.batch();
        batch.put::<tables::Media>((id,), &row)?;
        batch.delete::<tables::PendingMedia>((user, id))?;
        inner.store.commit(batch).await?;
        charge.keep();
        inner.filled.notify_waiters();
        Ok(())
    }

    /// The place that the user reserved and has not filled.
    fn reserved(&self, user: &UserId, id: &str) -> Result<MediaFile> {
        let row = self.inner.store.get::<tables::Media>((id,))?;
        let row = row
            .filter(|row| !self.is_expired(row))
            .ok_or_else(unknown_media)?;
        if row.uploader != user {
            return Err(Error::forbidden("Somebody else reserved this place"));
        }
        if row.bytes.is_some() {
            return Err(Error::refused(
                StatusCode::CONFLICT,
                ErrorKind::CannotOverwriteMedia,
                "This file has been uploaded already",
            ));
        }
        Ok(row)
    }
}
