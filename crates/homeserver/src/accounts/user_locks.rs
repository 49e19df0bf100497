//! One after the other: changes of one user that read before they write.
//!
//! A receipt looks where the last one stood, a tag is added to those that are there.

use ruma::{OwnedUserId, UserId};

use crate::locks::{KeyedGuard, KeyedLocks};

/// The locks, one for each user.
#[derive(Debug, Default)]
pub(crate) struct UserLocks {
    locks: KeyedLocks<OwnedUserId>,
}

impl UserLocks {
    /// Waits until nobody else changes what belongs to the user. Do not take two of them at once.
    pub(crate) async fn lock(&self, user: &UserId) -> KeyedGuard<OwnedUserId> {
        self.locks.lock([user.to_owned()]).await
    }
}
