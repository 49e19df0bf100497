//! Access tokens and refresh tokens: how they are given out, replaced and ended.
//!
//! A refreshed pair does not end the old one at once: the answer that carried it may have been lost. The old pair ends when the new
//! access token is used. Spec: <https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>

use std::time::Duration;

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{
    Accounts,
    credential::Credential,
    devices::check_name,
    digest, has_lost_appservice,
    moderation::user_locked_error,
    new_device_id, new_token,
    record::{Device, RefreshToken, Token},
    registration_tokens::expires_after,
};
use crate::{
    appservices::Appservices,
    blocking,
    caller::unknown_token,
    clock,
    config::Login,
    error::{Error, Result},
    limits::DEVICE_ID_MAX_BYTES,
    store::{Batch, Exists, StoreError, tables},
};

/// What a client gets to act with.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The access token.
    pub access_token: String,
    /// The refresh token, if it asked for one.
    pub refresh_token: Option<String>,
    /// How long the access token lives; nothing if until it is ended.
    pub expires_in: Option<Duration>,
}

/// What a client asks for when it logs in.
#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    /// The device that it goes on with, if it had one.
    pub device_id: Option<OwnedDeviceId>,
    /// How the device is called, if it is new.
    pub display_name: Option<String>,
    /// Whether it can refresh its tokens.
    pub refresh: bool,
}

impl Accounts {
    /// Logs a user in: on a new device, or again on one that they have, whose tokens end.
    ///
    /// # Errors
    ///
    /// 400 if the device cannot be called so; 401 or 403 if the credential does not count any more, or there are too many devices.
    pub async fn log_in(
        &self,
        user: &UserId,
        credential: Credential,
        options: LoginOptions,
        login: &Login,
    ) -> Result<IssuedTokens> {
        let device_id = options.device_id.unwrap_or_else(new_device_id);
        if device_id.as_str().is_empty() || device_id.as_str().len() > DEVICE_ID_MAX_BYTES {
            return Err(Error::invalid(format!(
                "Device id empty or too long (max {DEVICE_ID_MAX_BYTES} bytes)"
            )));
        }
        check_name(options.display_name.as_deref())?;
        let changing = self.changing.lock([user.to_owned()]).await;
        let mut batch = self.store.batch();
        self.spend(&mut batch, user, &credential)?;
        self.end_tokens(&mut batch, user, &device_id, None)?;
        let known = self.store.get::<tables::Devices>((user, &*device_id))?;
        if known.is_none() {
            self.check_device_count(user)?;
        }
        let mut device = known.unwrap_or(Device {
            display_name: options.display_name,
            last_seen: Some(clock::now()),
            ..Device::default()
        });
        device.appservice = credential.appservice().cloned();
        batch.put::<tables::Devices>((user, &*device_id), &device)?;
        let token = NewToken {
            device_id,
            refresh: options.refresh.then_some(login),
            replaces: None,
            appservice: device.appservice,
        };
        let issued = issue(&mut batch, user, token)?;
        self.store.commit(batch).await?;
        drop(changing);
        Ok(issued)
    }

    /// A new pair of tokens for a refresh token.
    ///
    /// # Errors
    ///
    /// 401 `M_UNKNOWN_TOKEN` if it is none, or has ended.
    pub async fn refresh(
        &self,
        appservices: &Appservices,
        token: &str,
        login: &Login,
    ) -> Result<IssuedTokens> {
        let old = digest(token);
        let record = || {
            let record = self.store.get::<tables::RefreshTokens>((old,))?;
            record
                .filter(|record| record.expires.is_none_or(|end| end > clock::now()))
                .ok_or_else(|| unknown_token(false))
        };
        let changing = self.changing.lock([record()?.user_id]).await;
        // Somebody may have used or ended it meanwhile.
        let record = record()?;
        let account = self.get(&record.user_id)?;
        let device = self.device(&record.user_id, &record.device_id)?;
        let appservice = device.and_then(|device| device.appservice);
        match account {
            Some(account) if account.locked => return Err(user_locked_error()),
            Some(account)
                if !self.has_ended(&account)
                    && !has_lost_appservice(appservices, &account, appservice.as_deref()) => {}
            _ => return Err(unknown_token(false)),
        }
        let mut batch = self.store.batch();
        // Whatever was given out for the same token before and was never used is not needed any more.
        self.end_tokens(&mut batch, &record.user_id, &record.device_id, Some(old))?;
        let token = NewToken {
            device_id: record.device_id,
            refresh: Some(login),
            replaces: Some(old),
            appservice,
        };
        let issued = issue(&mut batch, &record.user_id, token)?;
        self.store.commit(batch).await?;
        drop(changing);
        Ok(issued)
    }

    /// Ends the tokens of a device, but not those that came with the refresh token `keep`, nor it itself.
    pub(crate) fn end_tokens(
        &self,
        batch: &mut Batch,
        user: &UserId,
        device: &DeviceId,
        keep: Option<[u8; 32]>,
    ) -> Result<()> {
        for key in self
            .store
            .scan::<tables::DeviceTokens>((user, device))
            .keys()
        {
            let (_, _, access) = key?;
            let token = self.store.get::<tables::Tokens>((access,))?;
            let refresh = token.as_ref().and_then(|token| token.refresh);
            if keep.is_some() && refresh == keep {
                continue;
            }
            batch.delete::<tables::Tokens>((access,))?;
            batch.delete::<tables::DeviceTokens>((user, device, access))?;
            let replaced = token.and_then(|token| token.replaces);
            for refresh in [refresh, replaced].into_iter().flatten() {
                if Some(refresh) != keep {
                    batch.delete::<tables::RefreshTokens>((refresh,))?;
                }
            }
        }
        Ok(())
    }

    /// Ends the pair that `token` was made to replace, now that it is used.
    pub(super) async fn retire_replaced(&self, token: &Token) -> Result<()> {
        let Some(old) = token.replaces else {
            return Ok(());
        };
        if !self.store.contains::<tables::RefreshTokens>((old,))? {
            return Ok(());
        }
        let (store, token) = (self.store.clone(), token.clone());
        let retired = blocking::run(move || {
            let mut batch = store.batch();
            batch.delete::<tables::RefreshTokens>((old,))?;
            let (user, device) = (&*token.user_id, &*token.device_id);
            for key in store.scan::<tables::DeviceTokens>((user, device)).keys() {
                let (_, _, access) = key?;
                let record = store.get::<tables::Tokens>((access,))?;
                if record.is_some_and(|record| record.refresh == Some(old)) {
                    batch.delete::<tables::Tokens>((access,))?;
                    batch.delete::<tables::DeviceTokens>((user, device, access))?;
                }
            }
            store.commit_blocking(batch)
        });
        Ok(retired.await.map_err(|_| StoreError::Lost)??)
    }
}

/// The tokens of a device that are to be made.
struct NewToken<'a> {
    device_id: OwnedDeviceId,
    /// How long they live, if the client can refresh them.
    refresh: Option<&'a Login>,
    /// The digest of the refresh token that they are made with.
    replaces: Option<[u8; 32]>,
    /// The application service that they are given to.
    appservice: Option<String>,
}

/// Writes new tokens of a device into the batch. They end and can be refreshed if the client can do that.
fn issue(batch: &mut Batch, user: &UserId, new: NewToken<'_>) -> Result<IssuedTokens> {
    let NewToken {
        device_id, refresh, ..
    } = new;
    let access_token = new_token();
    let refresh_token = refresh.map(|login| (new_token(), login));
    let record = Token {
        user_id: OwnedUserId::from(user),
        device_id: device_id.clone(),
        expires: refresh.map(|login| expires_after(login.access_token_ttl)),
        refresh: refresh_token.as_ref().map(|(token, _)| digest(token)),
        replaces: new.replaces,
        appservice: new.appservice,
    };
    let access = digest(&access_token);
    batch.put::<tables::Tokens>((access,), &record)?;
    batch.put::<tables::DeviceTokens>((user, &*device_id, access), &Exists {})?;
    if let Some((token, login)) = &refresh_token {
        let record = RefreshToken {
            user_id: OwnedUserId::from(user),
            device_id: device_id.clone(),
            expires: login.refresh_token_life().map(expires_after),
        };
        batch.put::<tables::RefreshTokens>((digest(token),), &record)?;
    }
    Ok(IssuedTokens {
        device_id,
        access_token,
        refresh_token: refresh_token.map(|(token, _)| token),
        expires_in: refresh.map(|login| login.access_token_ttl),
    })
}
