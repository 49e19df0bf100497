//! The end of an account: its password, devices, tokens, keys and profile go, and what waits to be done for it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>

use ruma::UserId;

use super::Operations;
use crate::{
    accounts::credential::ProvenPassword,
    error::Result,
    keys,
    rooms::{delayed, membership},
    store::{Batch, tables},
};

/// What becomes of what a user has sent when the account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentContent {
    /// It stays as it is.
    Kept,
    /// Who could not read it before gets redacted copies; what is no event is deleted, uploaded files too.
    Erased,
}

impl Operations {
    /// Ends an account for ever, as [`Self::end_account`], and leaves its rooms.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 403 if the password that was shown for it was changed meanwhile.
    pub async fn deactivate(
        &self,
        user: &UserId,
        content: SentContent,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        self.end_account(user, content, password).await?;
        membership::leave_all_rooms(&self.rooms, user).await
    }

    /// Ends an account for ever: its devices, password and profile go, and what waits to be done for it. The name stays taken, and
    /// in its rooms it stays.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 403 if the password that was shown for it was changed meanwhile.
    pub async fn end_account(
        &self,
        user: &UserId,
        content: SentContent,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        let locked = self.keys.lock([user]).await;
        let changing = self.accounts.changing.lock([user.to_owned()]).await;
        self.accounts.check_password_unchanged(user, password)?;
        let mut account = self.accounts.active_account(user)?;
        account.deactivated = true;
        account.password = None;
        if content == SentContent::Erased {
            // First: whoever asked for it asks again if the server ends meanwhile.
            self.media.delete_all_of(user).await?;
        }
        let mut batch = self.store.batch();
        self.accounts.put(&mut batch, user, &account)?;
        batch.delete_all::<tables::Profiles>((user,))?;
        batch.delete::<tables::Presence>((user,))?;
        batch.delete_all::<tables::Pushers>((user,))?;
        batch.delete_all::<tables::PusherProgress>((user,))?;
        self.accounts.end_short_tokens(&mut batch, user, |_| true)?;
        delayed::delete_of_user(&self.rooms, &mut batch, user)?;
        self.media.forget_reservations(&mut batch, user)?;
        keys::delete_user_keys(&self.store, &mut batch, user)?;
        if content == SentContent::Erased {
            self.erase(&mut batch, user)?;
        }
        self.store.commit(batch).await?;
        self.accounts.sessions.end_all(user);
        drop((changing, locked));
        self.delete_other_devices(user, None).await?;
        self.sync.presence.forget(user)?;
        tracing::info!(user.id = %user, "account deactivated");
        Ok(())
    }

    /// Erases what the user left behind, in the batch that ends the account.
    fn erase(&self, batch: &mut Batch, user: &UserId) -> Result<()> {
        batch.delete_all::<tables::AccountData>((user,))?;
        batch.delete_all::<tables::AccountDataChanges>((user,))?;
        batch.delete_all::<tables::Filters>((user,))?;
        batch.delete_all::<tables::Notifications>((user,))?;
        batch.delete_all::<tables::SendIds>((user,))?;
        let until = self.stream.visible();
        self.rooms.erased.add(batch, user, until)
    }
}
