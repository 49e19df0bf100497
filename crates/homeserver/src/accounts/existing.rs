//! Which accounts there are, and their passwords. Making and ending one spans more than accounts: see `operations`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>

use ruma::{OwnedUserId, UserId, api::error::ErrorKind};

use super::{
    Accounts, HashRequester,
    credential::ProvenPassword,
    identity,
    record::{Account, ShortToken, ShortTokenUse},
};
use crate::{
    error::{Error, Result},
    store::tables,
};

/// 400 `M_USER_IN_USE`.
pub fn user_in_use_error() -> Error {
    Error::bad_request(ErrorKind::UserInUse, "This user name is taken")
}

impl Accounts {
    /// The accounts of people: not of guests, of application services or the server itself, and not deactivated.
    pub fn list(&self) -> Result<Vec<OwnedUserId>> {
        self.regular_users().collect()
    }

    pub(crate) fn regular_users(&self) -> impl Iterator<Item = Result<OwnedUserId>> {
        let rows = self.store.scan::<tables::Accounts>(());
        rows.filter_map(|row| match row {
            Ok(((user,), account)) => {
                let person = !account.guest && account.appservice.is_none();
                let counts = person && !account.deactivated;
                (counts && user.localpart() != identity::SERVER_USER).then_some(Ok(user))
            }
            Err(error) => Some(Err(error.into())),
        })
    }

    /// Gives an account a new password. Its devices stay logged in; whatever else lets somebody in without the new password ends.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 400 if the password cannot be one; 429 if too many wait for a hash; 403
    /// if `old`, which was shown for it, was changed meanwhile.
    pub async fn set_password(
        &self,
        user: &UserId,
        new: &str,
        by: &HashRequester,
        old: Option<&ProvenPassword>,
    ) -> Result<()> {
        let hash = self.hash(new, by).await?;
        let changing = self.changing.lock([user.to_owned()]).await;
        self.check_password_unchanged(user, old)?;
        let mut account = self.active_account(user)?;
        account.password = Some(hash);
        let mut batch = self.store.batch();
        self.put(&mut batch, user, &account)?;
        let logs_in = |token: &ShortToken| token.purpose == ShortTokenUse::Login;
        self.end_short_tokens(&mut batch, user, logs_in)?;
        self.store.commit(batch).await?;
        self.sessions.end_all(user);
        drop(changing);
        Ok(())
    }

    /// The account of this user, if it is not deactivated. 404 otherwise.
    pub fn active_account(&self, user: &UserId) -> Result<Account> {
        self.get(user)?
            .filter(|account| !account.deactivated)
            .ok_or_else(|| Error::not_found("There is no such account"))
    }
}
