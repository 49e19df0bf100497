//! Accounts that an admin suspends or locks.
//!
//! Who is suspended reads, manages devices and keys, leaves rooms and takes back what they said; nothing else of theirs reaches
//! anybody. Who is locked does nothing but log out.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>,
//! <https://spec.matrix.org/v1.19/client-server-api/#account-locking>

use http::StatusCode;
use ruma::{UserId, api::error::ErrorKind};

use super::{Accounts, record::Account};
use crate::error::{Error, Result};

/// 401 `M_USER_LOCKED`: the session is kept, but cannot be used for now.
pub(crate) fn user_locked_error() -> Error {
    Error::refused(
        StatusCode::UNAUTHORIZED,
        ErrorKind::UserLocked,
        "This account is locked",
    )
}

/// 403 `M_USER_DEACTIVATED`: nobody logs in any more.
pub(crate) fn user_deactivated_error() -> Error {
    Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::UserDeactivated,
        "This account is deactivated",
    )
}

/// 403 `M_USER_SUSPENDED`.
pub(crate) fn user_suspended_error() -> Error {
    Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::UserSuspended,
        "This account is suspended: it can read, leave rooms and take back what it said",
    )
}

impl Accounts {
    /// Whether the user is suspended.
    pub fn is_suspended(&self, user: &UserId) -> Result<bool> {
        Ok(self.get(user)?.is_some_and(|account| account.suspended))
    }

    /// Suspends the user, or ends that.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account.
    pub async fn set_suspended(&self, user: &UserId, suspended: bool) -> Result<()> {
        self.moderate(user, |account| account.suspended = suspended)
            .await
    }

    /// Locks the user out, or lets them in again.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account.
    pub async fn set_locked(&self, user: &UserId, locked: bool) -> Result<()> {
        self.moderate(user, |account| account.locked = locked).await
    }

    async fn moderate(&self, user: &UserId, change: impl FnOnce(&mut Account)) -> Result<()> {
        let changing = self.changing.lock([user.to_owned()]).await;
        let account = self.get(user)?.filter(|account| !account.deactivated);
        let mut account = account.ok_or_else(|| Error::not_found("There is no such user"))?;
        change(&mut account);
        let mut batch = self.store.batch();
        self.put(&mut batch, user, &account)?;
        self.store.commit(batch).await?;
        drop(changing);
        Ok(())
    }
}
