//! Accounts, their devices and their tokens.
//!
//! A token is stored as its SHA-256 digest: whoever reads the database cannot act as anybody.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-authentication>

use rand::{Rng, distr::Alphanumeric};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use sha2::{Digest, Sha256};

use crate::{
    clock,
    error::Result,
    http::{CallFacts, Caller, unknown_token},
    store::{Batch, Exists, Store, tables},
};

pub mod record;

use record::{Account, Device, Token};

/// How many characters a token has: about 190 bits.
const TOKEN_CHARS: usize = 32;
/// How many characters a device id of ours has.
const DEVICE_ID_CHARS: usize = 10;

/// All accounts. Clones are the same accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: Store,
}

/// A secret text that only its owner gets to see.
pub fn new_token() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(TOKEN_CHARS)
        .map(char::from)
        .collect()
}

/// What is stored of a token.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Accounts {
    /// The accounts in this database.
    pub fn open(store: Store) -> Self {
        Self { store }
    }

    /// The account of a user.
    pub fn get(&self, user: &UserId) -> Result<Option<Account>> {
        Ok(self.store.get::<tables::Accounts>((user,))?)
    }

    /// Whether there is such an account, deactivated or not.
    pub fn exists(&self, user: &UserId) -> Result<bool> {
        Ok(self.store.contains::<tables::Accounts>((user,))?)
    }

    /// Whether the user has this device.
    pub fn has_device(&self, user: &UserId, device: &DeviceId) -> Result<bool> {
        Ok(self.store.contains::<tables::Devices>((user, device))?)
    }

    /// Whose token this is.
    ///
    /// # Errors
    ///
    /// 401 `M_UNKNOWN_TOKEN` if it is nobody's, with `soft_logout` if it was and can be refreshed.
    pub fn caller(&self, token: &str, _facts: &CallFacts) -> Result<Caller> {
        let Some(token) = self.store.get::<tables::Tokens>((digest(token),))? else {
            return Err(unknown_token(false));
        };
        if token.expires.is_some_and(|end| end <= clock::now()) {
            return Err(unknown_token(true));
        }
        let account = self
            .get(&token.user_id)?
            .ok_or_else(|| unknown_token(false))?;
        if account.deactivated {
            return Err(unknown_token(false));
        }
        Ok(Caller {
            user_id: token.user_id,
            device_id: Some(token.device_id),
            appservice: None,
            guest: account.guest,
        })
    }

    /// Writes an account, new or changed, into the batch.
    pub fn put(&self, batch: &mut Batch, user: &UserId, account: &Account) -> Result<()> {
        Ok(batch.put::<tables::Accounts>((user,), account)?)
    }

    /// Writes a device with a new access token into the batch, and gives the token.
    pub fn put_device(
        &self,
        batch: &mut Batch,
        user: &UserId,
        device_id: Option<OwnedDeviceId>,
        device: &Device,
    ) -> Result<(OwnedDeviceId, String)> {
        let device_id = device_id.unwrap_or_else(|| {
            let name: String = rand::rng()
                .sample_iter(Alphanumeric)
                .take(DEVICE_ID_CHARS)
                .map(char::from)
                .collect();
            name.to_ascii_uppercase().into()
        });
        let token = new_token();
        let record = Token {
            user_id: OwnedUserId::from(user),
            device_id: device_id.clone(),
            expires: None,
            refresh: None,
        };
        batch.put::<tables::Devices>((user, &*device_id), device)?;
        batch.put::<tables::Tokens>((digest(&token),), &record)?;
        batch.put::<tables::DeviceTokens>((user, &*device_id, digest(&token)), &Exists {})?;
        Ok((device_id, token))
    }
}
