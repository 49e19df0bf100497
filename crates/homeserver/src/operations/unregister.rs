//! What an application service leaves behind when it is unregistered: the devices that it logged in, which end with it.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use super::Operations;
use crate::{accounts::record::Device, appservices::Appservice, error::Result, store::tables};

impl Operations {
    /// Ends what the application service was given: the devices that it logged in, all devices of the accounts that it made and that
    /// have no password, and what its users asked for without a device. Until this is done nobody acts with their tokens anyway
    /// ([`crate::accounts::Accounts::caller`]).
    pub async fn end_appservice(&self, appservice: &Appservice) -> Result<()> {
        let mut theirs = BTreeMap::<OwnedUserId, Vec<OwnedDeviceId>>::new();
        for row in self.store.scan::<tables::Devices>(()) {
            let ((user, id), device) = row?;
            if self.is_device_of(&user, &device, appservice)? {
                theirs.entry(user).or_default().push(id);
            }
        }
        for (user, devices) in &theirs {
            self.delete_devices(user, devices, None).await?;
        }
        self.end_tokens_without_device(appservice).await
    }

    fn is_device_of(
        &self,
        user: &UserId,
        device: &Device,
        appservice: &Appservice,
    ) -> Result<bool> {
        if let Some(by) = &device.appservice {
            return Ok(by == appservice.id());
        }
        let account = self.accounts.get(user)?;
        let made = account.filter(|account| account.password.is_none());
        Ok(made.is_some_and(|account| account.appservice.as_deref() == Some(appservice.id())))
    }

    /// Only application services ask for tokens without a device.
    async fn end_tokens_without_device(&self, appservice: &Appservice) -> Result<()> {
        let mut batch = self.store.batch();
        for row in self.store.scan::<tables::ShortTokens>(()) {
            let ((digest,), token) = row?;
            if token.device_id.is_none() && appservice.is_own(&token.user_id) {
                batch.delete::<tables::ShortTokens>((digest,))?;
            }
        }
        Ok(self.store.commit(batch).await?)
    }
}
