//! What somebody has shown to be let in, and whether it still counts when they are.
//!
//! A password is checked long before what it is for is done: hashing takes its time, and others wait for it too. Meanwhile the
//! password can be changed and the account ended. So whoever was let in by something names it again under the lock of the account
//! (`Accounts::changing`), where it is compared with what is there now, in the same hold as the write.

use std::fmt;

use ruma::{DeviceId, UserId};

use super::{
    Accounts, digest,
    moderation::{user_deactivated_error, user_locked_error},
    record::{Account, ShortTokenUse},
};
use crate::{
    caller::unknown_token,
    clock,
    error::{Error, Result},
    store::{Batch, tables},
};

/// A password that was right: the hash that it matched, which no other password has, nor the same one set again.
#[derive(Clone, PartialEq, Eq)]
pub struct ProvenPassword(String);

impl fmt::Debug for ProvenPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvenPassword(***)")
    }
}

impl ProvenPassword {
    pub(super) fn new(hash: String) -> Self {
        Self(hash)
    }

    /// # Errors
    ///
    /// 403 `M_FORBIDDEN` if the account has another password by now, or none. The caller holds the lock of the account.
    pub(super) fn check(&self, account: &Account) -> Result<()> {
        if account.password.as_ref() == Some(&self.0) {
            return Ok(());
        }
        Err(Error::forbidden(
            "The password was changed in the meantime: try again with the new one",
        ))
    }
}

/// What a device is made for.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A password.
    Password(ProvenPassword),
    /// A login token, which is good for once.
    LoginToken(String),
    /// The token of the application service with this id.
    Appservice(String),
    /// Nothing that could have changed: the account was made by the same request.
    NewAccount,
}

impl Credential {
    /// The application service that logs in.
    pub(super) fn appservice(&self) -> Option<&String> {
        match self {
            Self::Appservice(id) => Some(id),
            _ => None,
        }
    }
}

impl Accounts {
    /// Spends the credential in the batch that lets the user in. The caller holds the lock of the account.
    ///
    /// # Errors
    ///
    /// 403 if it does not count any more, or the account has ended; 401 if it is locked.
    pub(super) fn spend(
        &self,
        batch: &mut Batch,
        user: &UserId,
        credential: &Credential,
    ) -> Result<()> {
        let account = match self.get(user)? {
            Some(account) if account.deactivated => return Err(user_deactivated_error()),
            Some(account) if account.locked => return Err(user_locked_error()),
            Some(account) => account,
            None => return Err(Error::forbidden("Wrong user or password")),
        };
        match credential {
            Credential::Password(proven) => proven.check(&account),
            Credential::LoginToken(token) => {
                let key = (digest(token),);
                let record = self.store.get::<tables::ShortTokens>(key)?;
                let good = record.is_some_and(|record| {
                    record.purpose == ShortTokenUse::Login
                        && record.user_id == user
                        && record.expires > clock::now()
                });
                batch.delete::<tables::ShortTokens>(key)?;
                good.then_some(())
                    .ok_or_else(|| Error::forbidden("This login token is not valid"))
            }
            Credential::Appservice(_) | Credential::NewAccount => Ok(()),
        }
    }

    /// Refuses what a device or a user asked for who was logged out or ended meanwhile, or with a password that was changed. The
    /// caller holds the lock of the account.
    ///
    /// # Errors
    ///
    /// 401 or 403, as it is then.
    pub(super) fn check_device_and_password(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        self.check_still_logged_in(user, device)?;
        self.check_password_unchanged(user, password)?;
        let account = self.get(user)?;
        if account.as_ref().is_some_and(|account| account.deactivated) {
            return Err(unknown_token(false));
        }
        Ok(())
    }

    /// Refuses what was asked for with a password that was changed meanwhile. The caller holds the lock of the account.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN`.
    pub(crate) fn check_password_unchanged(
        &self,
        user: &UserId,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        match (self.get(user)?, password) {
            (Some(account), Some(password)) => password.check(&account),
            _ => Ok(()),
        }
    }
}
