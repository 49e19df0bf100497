//! How much room files take: for each uploader, and in all.
//!
//! The sizes are in the rows of the files, so nothing that is counted can be lost: the sums are made of them before the first upload
//! or deletion after a start, and kept up to date in memory from then on. Thumbnails, which the server makes, do not count.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload> (403 for a quota)

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedUserId, UserId};
use tokio::sync::OnceCell;

use crate::{
    config,
    error::{Error, Result},
    limits::FILES_PER_USER,
    store::{Store, StoreError, tables},
};

/// The sums of all files. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    sums: Arc<OnceCell<Mutex<Sums>>>,
}

#[derive(Debug, Default)]
struct Sums {
    total: u64,
    by_user: HashMap<OwnedUserId, Used>,
}

/// What the files of one user take.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    bytes: u64,
    files: u64,
}

impl Sums {
    fn of(store: &Store) -> Result<Self, StoreError> {
        let mut sums = Self::default();
        for row in store.scan::<tables::Media>(()) {
            let (_, file) = row?;
            if let Some(bytes) = file.bytes {
                sums.add(&file.uploader, bytes);
            }
        }
        Ok(sums)
    }

    fn add(&mut self, user: &UserId, bytes: u64) {
        self.total += bytes;
        let used = self.by_user.entry(user.to_owned()).or_default();
        used.bytes += bytes;
        used.files += 1;
    }

    fn subtract(&mut self, user: &UserId, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
        if let Some(used) = self.by_user.get_mut(user) {
            used.bytes = used.bytes.saturating_sub(bytes);
            used.files = used.files.saturating_sub(1);
            if used.files == 0 {
                self.by_user.remove(user);
            }
        }
    }

    /// Refuses `bytes` more than there is room for.
    fn check(&self, quota: &config::Media, user: &UserId, bytes: u64, exempt: bool) -> Result<()> {
        let (own, total) = (quota.media_quota_per_user, quota.media_quota_total);
        let Used { bytes: used, files } = self.by_user.get(user).copied().unwrap_or_default();
        if !exempt && files >= FILES_PER_USER {
            return Err(Error::forbidden(format!(
                "One user can have {FILES_PER_USER} files: ask an admin to delete some of yours"
            )));
        }
        if !exempt && own.0 > 0 && used.saturating_add(bytes) > own.0 {
            return Err(Error::forbidden(format!(
                "Your files take {used} bytes, and you can have {own}: ask an admin to delete some of them, or for a higher \
                 media_quota_per_user"
            )));
        }
        if total.0 > 0 && self.total.saturating_add(bytes) > total.0 {
            return Err(Error::forbidden(format!(
                "All files on this server together take as much room as they can, {total}: ask an admin to delete some, or for a \
                 higher media_quota_total"
            )));
        }
        Ok(())
    }
}

/// Bytes that count for somebody: for good once they are kept, and given back otherwise.
#[derive(Debug)]
pub(super) struct Charge {
    usage: Usage,
    user: OwnedUserId,
    bytes: u64,
    kept: bool,
}

impl Charge {
    /// The file is there.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if !self.kept
            && let Some(mut sums) = self.usage.loaded()
        {
            sums.subtract(&self.user, self.bytes);
        }
    }
}

impl Usage {
    fn loaded(&self) -> Option<MutexGuard<'_, Sums>> {
        let sums = self.sums.get()?;
        Some(sums.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the sums of what is stored, if that has not been done yet. Whoever adds or deletes a file does so before.
    async fn load(&self, store: &Store) -> Result<MutexGuard<'_, Sums>> {
        let sums = self.sums.get_or_try_init(|| async {
            let store = store.clone();
            let summing = crate::blocking::run(move || Sums::of(&store));
            Ok::<_, StoreError>(Mutex::new(summing.await.map_err(|_| StoreError::Lost)??))
        });
        Ok(sums.await?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses an upload of somebody who has no room left, before it is read.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN`.
    pub(super) async fn begin(
        &self,
        store: &Store,
        quota: &config::Media,
        user: &UserId,
        exempt: bool,
    ) -> Result<()> {
        self.load(store).await?.check(quota, user, 1, exempt)
    }

    /// Counts the bytes of a file that has come.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN` if there is no room for them.
    pub(super) async fn charge(
        &self,
        store: &Store,
        quota: &config::Media,
        (user, exempt): (&UserId, bool),
        bytes: u64,
    ) -> Result<Charge> {
        let mut sums = self.load(store).await?;
        sums.check(quota, user, bytes, exempt)?;
        sums.add(user, bytes);
        drop(sums);
        Ok(Charge {
            usage: self.clone(),
            user: user.to_owned(),
            bytes,
            kept: false,
        })
    }

    /// Gets ready to delete a file: the sums count it while it is there.
    pub(super) async fn before_delete(&self, store: &Store) -> Result<()> {
        self.load(store).await.map(drop)
    }

    /// A file is gone.
    pub(super) fn give_back(&self, user: &UserId, bytes: u64) {
        if let Some(mut sums) = self.loaded() {
            sums.subtract(user, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn files_count_however_small_they_are() {
        let alice = user_id!("@alice:letta.test");
        let quota = config::Config::new(ruma::server_name!("letta.test").to_owned()).media;
        let mut sums = Sums::default();
        for _ in 0..FILES_PER_USER {
            sums.add(alice, 0);
        }
        assert!(sums.check(&quota, alice, 0, false).is_err());
        assert!(sums.check(&quota, alice, 0, true).is_ok(), "exempt");
        assert!(
            sums.check(&quota, user_id!("@bob:letta.test"), 0, false)
                .is_ok()
        );
        sums.subtract(alice, 0);
        assert!(sums.check(&quota, alice, 0, false).is_ok());
    }
}
