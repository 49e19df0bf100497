//! What somebody has to know to make an account: the tokens of the configuration, read once at the start, and those that an admin
//! issued, which can end and can be used up.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration>

use std::time::Duration;

use ruma::{MilliSecondsSinceUnixEpoch, UserId};

use super::{Accounts, new_token, record::RegistrationToken};
use crate::{
    caller::RequestMetadata,
    clock,
    error::{Error, Result},
    limits::REGISTRATION_TOKEN_MAX_BYTES,
    store::{Batch, tables},
};

/// When something ends that lives this long from now on.
pub(super) fn expires_after(life: Duration) -> MilliSecondsSinceUnixEpoch {
    let now = u64::from(clock::now().0);
    let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let ends = ruma::UInt::new_saturating(now.saturating_add(life));
    MilliSecondsSinceUnixEpoch(ends)
}

/// Whether an account can be made with this token.
fn is_valid(accounts: &Accounts, token: &str) -> Result<bool> {
    if accounts
        .configured_tokens
        .iter()
        .any(|known| known.matches(token))
    {
        return Ok(true);
    }
    if token.is_empty() || token.len() > REGISTRATION_TOKEN_MAX_BYTES {
        return Ok(false);
    }
    Ok(accounts
        .store
        .get::<tables::RegistrationTokens>((token,))?
        .is_some_and(|token| is_good(&token)))
}

/// The same for a token that somebody shows who may guess.
///
/// # Errors
///
/// 429 if too many wrong secrets came from their address.
pub async fn check_shown_token(
    accounts: &Accounts,
    facts: &RequestMetadata,
    token: &str,
) -> Result<bool> {
    let look = async { Ok(is_valid(accounts, token)?.then_some(())) };
    let found = accounts.limit_guesses(facts, look).await?;
    Ok(found.is_some())
}

fn is_good(token: &RegistrationToken) -> bool {
    token.uses_left != Some(0) && token.expires.is_none_or(|end| end > clock::now())
}

/// Takes a token as used once, in the batch that makes the account.
///
/// # Errors
///
/// 403 if somebody else has used it up meanwhile, or if it is bound to another local part.
pub(crate) fn spend(
    accounts: &Accounts,
    batch: &mut Batch,
    token: &str,
    user: &UserId,
) -> Result<()> {
    if accounts
        .configured_tokens
        .iter()
        .any(|known| known.matches(token))
    {
        return Ok(());
    }
    let record = accounts.store.get::<tables::RegistrationTokens>((token,))?;
    let Some(mut record) = record.filter(is_good) else {
        return Err(Error::forbidden("This registration token is used up"));
    };
    if let Some(localpart) = &record.localpart
        && localpart != user.localpart()
    {
        let why = format!("This registration token is for one user: register as `{localpart}`");
        return Err(Error::forbidden(why));
    }
    record.uses_left = record.uses_left.map(|uses| uses.saturating_sub(1));
    record.used = record.used.saturating_add(1);
    Ok(batch.put::<tables::RegistrationTokens>((token,), &record)?)
}

impl Accounts {
    /// A new registration token: for so many accounts and so long, or without limit.
    pub async fn issue_registration_token(
        &self,
        uses: Option<u64>,
        life: Option<Duration>,
    ) -> Result<String> {
        let token = new_token();
        let record = RegistrationToken {
            uses_left: uses,
            expires: life.map(expires_after),
            used: 0,
            localpart: None,
        };
        self.store
            .put::<tables::RegistrationTokens>((&*token,), &record)
            .await?;
        Ok(token)
    }

    /// A new token that makes one account, that of this local part. Earlier tokens bound to it are revoked.
    pub async fn issue_bound_registration_token(
        &self,
        localpart: &str,
        life: Duration,
    ) -> Result<String> {
        // Accounts have small letters only.
        let (token, localpart) = (new_token(), localpart.to_lowercase());
        let record = RegistrationToken {
            uses_left: Some(1),
            expires: Some(expires_after(life)),
            used: 0,
            localpart: Some(localpart.clone()),
        };
        let mut batch = self.store.batch();
        for (earlier, record) in self.registration_tokens()? {
            if record.localpart.as_ref() == Some(&localpart) {
                batch.delete::<tables::RegistrationTokens>((&*earlier,))?;
            }
        }
        batch.put::<tables::RegistrationTokens>((&*token,), &record)?;
        self.store.commit(batch).await?;
        Ok(token)
    }

    /// A token bound to this local part that is still good, if there is any.
    pub fn bound_registration_token(&self, localpart: &str) -> Result<Option<String>> {
        let localpart = localpart.to_lowercase();
        let bound = |record: &RegistrationToken| record.localpart.as_ref() == Some(&localpart);
        let all = self.registration_tokens()?.into_iter();
        let mut good = all.filter(|(_, record)| bound(record) && is_good(record));
        Ok(good.next().map(|(token, _)| token))
    }

    /// A token that was issued and is still good, if there is any.
    pub fn good_registration_token(&self) -> Result<Option<String>> {
        for row in self.store.scan::<tables::RegistrationTokens>(()) {
            let ((token,), record) = row?;
            if is_good(&record) {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    /// All registration tokens that were issued and not revoked.
    pub fn registration_tokens(&self) -> Result<Vec<(String, RegistrationToken)>> {
        let rows = self.store.scan::<tables::RegistrationTokens>(());
        rows.map(|row| {
            row.map(|((token,), record)| (token, record))
                .map_err(Error::from)
        })
        .collect()
    }

    /// Revokes a registration token. Says whether there was one.
    pub async fn revoke_registration_token(&self, token: &str) -> Result<bool> {
        let there = self
            .store
            .contains::<tables::RegistrationTokens>((token,))?;
        let mut batch = self.store.batch();
        batch.delete::<tables::RegistrationTokens>((token,))?;
        self.store.commit(batch).await?;
        Ok(there)
    }
}
