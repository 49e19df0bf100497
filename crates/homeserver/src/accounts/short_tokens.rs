//! Tokens that end soon: to log in on another device, and to prove to a third party who one is.
//!
//! They end with what vouches for them, too: with the device that asked for them, with the account, and those to log in with the
//! password.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>,
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token>

use std::time::Duration;

use ruma::{DeviceId, OwnedUserId, UserId};

use super::{
    Accounts,
    credential::ProvenPassword,
    digest, has_lost_appservice, new_token,
    record::{ShortToken, ShortTokenUse},
    registration_tokens::expires_after,
};
use crate::{
    appservices::Appservices,
    clock,
    error::{Error, Result},
    limits::{LOGIN_TOKEN_LIFE, OPENID_TOKEN_LIFE, SHORT_TOKENS_PER_USER},
    store::{Batch, tables},
};

impl ShortTokenUse {
    /// How long such a token lives.
    pub const fn life(self) -> Duration {
        match self {
            Self::OpenId => OPENID_TOKEN_LIFE,
            Self::Login => LOGIN_TOKEN_LIFE,
        }
    }
}

impl Accounts {
    /// A new token for this use. Those that have ended are swept out with it.
    ///
    /// # Errors
    ///
    /// 429 `M_LIMIT_EXCEEDED` if too many of the user's are good, until the first of them ends; 401 or 403 if the device or the
    /// password that vouches for it is gone.
    pub async fn issue_short_token(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        purpose: ShortTokenUse,
        password: Option<&ProvenPassword>,
    ) -> Result<String> {
        let token = new_token();
        let record = ShortToken {
            user_id: user.to_owned(),
            device_id: device.map(ToOwned::to_owned),
            purpose,
            expires: expires_after(purpose.life()),
        };
        let (now, mut good, mut first_end) = (clock::now(), 0, record.expires);
        let changing = self.changing.lock([user.to_owned()]).await;
        self.check_device_and_password(user, device, password)?;
        let mut batch = self.store.batch();
        for row in self.store.scan::<tables::ShortTokens>(()) {
            let ((digest,), old) = row?;
            if old.expires <= now {
                batch.delete::<tables::ShortTokens>((digest,))?;
            } else if old.user_id == user {
                (good, first_end) = (good + 1, first_end.min(old.expires));
            }
        }
        if good >= SHORT_TOKENS_PER_USER {
            let wait = Duration::from_millis(u64::from(first_end.0.saturating_sub(now.0)));
            return Err(Error::limit_exceeded(
                wait,
                format!("{SHORT_TOKENS_PER_USER} tokens of yours are good already"),
            ));
        }
        batch.put::<tables::ShortTokens>((digest(&token),), &record)?;
        self.store.commit(batch).await?;
        drop(changing);
        Ok(token)
    }

    /// Who shows the `OpenID` token; nothing if it is none or has ended.
    pub fn openid_user(
        &self,
        appservices: &Appservices,
        token: &str,
    ) -> Result<Option<OwnedUserId>> {
        let record = self.store.get::<tables::ShortTokens>((digest(token),))?;
        let record = record
            .filter(|record| record.purpose == ShortTokenUse::OpenId)
            .filter(|record| record.expires > clock::now());
        let Some(user) = record.map(|record| record.user_id) else {
            return Ok(None);
        };
        let account = self.get(&user)?;
        let usable = account.is_none_or(|account| {
            let ended = account.deactivated || account.locked;
            !ended && !has_lost_appservice(appservices, &account, None)
        });
        Ok(usable.then_some(user))
    }

    /// Ends those tokens of a user that `ends` says.
    pub(crate) fn end_short_tokens(
        &self,
        batch: &mut Batch,
        user: &UserId,
        ends: impl Fn(&ShortToken) -> bool,
    ) -> Result<()> {
        for row in self.store.scan::<tables::ShortTokens>(()) {
            let ((digest,), token) = row?;
            if token.user_id == user && ends(&token) {
                batch.delete::<tables::ShortTokens>((digest,))?;
            }
        }
        Ok(())
    }

    /// Who can log in with the token; nothing if it is none or has ended. [`Self::log_in`] spends it.
    pub fn login_token_user(&self, token: &str) -> Result<Option<OwnedUserId>> {
        let record = self.store.get::<tables::ShortTokens>((digest(token),))?;
        let record = record
            .filter(|record| record.purpose == ShortTokenUse::Login)
            .filter(|record| record.expires > clock::now());
        Ok(record.map(|record| record.user_id))
    }
}
