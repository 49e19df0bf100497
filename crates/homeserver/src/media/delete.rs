//! Files that an admin deletes, and those of users who are erased: the row first, so that nobody is shown a file that goes, then the bytes.

use ruma::{MxcUri, UserId};

use super::{Media, record::MediaFile, unknown_media};
use crate::{error::Result, store::tables};

impl Media {
    /// Keeps a file from everybody, or gives it back to them.
    ///
    /// # Errors
    ///
    /// 404 if there is no such file.
    pub async fn set_quarantined(&self, id: &str, quarantined: bool) -> Result<()> {
        let mut row = self.file_record(id)?.ok_or_else(unknown_media)?;
        row.quarantined = quarantined;
        Ok(self.inner.store.put::<tables::Media>((id,), &row).await?)
    }

    /// The id of a file of this server.
    pub fn id_of<'a>(&self, uri: &'a MxcUri) -> Option<&'a str> {
        let (server, id) = uri.parts().ok()?;
        (server == self.inner.server_name).then_some(id)
    }

    /// What is known of a file.
    pub fn file_record(&self, id: &str) -> Result<Option<MediaFile>> {
        Ok(self.inner.store.get::<tables::Media>((id,))?)
    }

    /// All files that this is true of.
    pub fn ids_where(&self, wanted: impl Fn(&MediaFile) -> bool) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for row in self.inner.store.scan::<tables::Media>(()) {
            let ((id,), file) = row?;
            if wanted(&file) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Deletes all files that a user has uploaded, and says how many there were.
    pub async fn delete_all_of(&self, user: &UserId) -> Result<usize> {
        let ids = self.ids_where(|file| file.uploader == user)?;
        for id in &ids {
            self.delete(id).await?;
        }
        Ok(ids.len())
    }

    /// Deletes a file with its thumbnails. Says whether there was one.
    pub async fn delete(&self, id: &str) -> Result<bool> {
        let inner = &self.inner;
        inner.usage.before_delete(&inner.store).await?;
        // No file is filled or given back meanwhile.
        let _one_at_a_time = inner.reserving.lock().await;
        let Some(row) = self.file_record(id)? else {
            return Ok(false);
        };
        let mut files = vec![id.to_owned()];
        let mut batch = inner.store.batch();
        batch.delete::<tables::Media>((id,))?;
        batch.delete::<tables::PendingMedia>((&*row.uploader, id))?;
        for key in inner.store.scan::<tables::Thumbnails>((id,)).keys() {
            let (_, size) = key?;
            batch.delete::<tables::Thumbnails>((id, &*size))?;
            files.push(format!("{id}.{size}"));
        }
        inner.store.commit(batch).await?;
        if let Some(bytes) = row.bytes {
            inner.usage.give_back(&row.uploader, bytes);
        }
        for file in files {
            inner.disk.delete(&file).await?;
        }
        Ok(true)
    }
}
