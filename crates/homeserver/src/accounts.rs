//! Accounts, their devices and their tokens.
//!
//! A token is stored as its SHA-256 digest: whoever reads the database cannot act as anybody.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-authentication>

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use rand::{Rng, distr::Alphanumeric};
use ruma::{DeviceId, OwnedDeviceId, OwnedServerName, OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use tasks::Tasks;
use tokio::time::Instant;

use crate::{
    appservices::Appservices,
    caller::{Caller, RequestMetadata, unknown_token},
    clock,
    config::{Config, Secret},
    error::{Error, Result},
    holder::network_of,
    locks::{KeyedGuard, KeyedLocks},
    log_throttle::LogThrottle,
    store::{Batch, Store, tables},
};

pub mod account_data;
mod attempts;
pub mod credential;
pub mod devices;
pub mod existing;
pub mod identity;
pub mod ignored;
pub mod moderation;
mod nonces;
mod password;
pub mod profile;
mod query_users;
pub mod registration_tokens;
mod seen;
pub mod short_tokens;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod uia;
mod user_locks;

pub use crate::store::records::accounts as record;

use attempts::{Exceeded, Guess, GuessTarget};
use credential::ProvenPassword;
pub use password::HashRequester;
pub(crate) use query_users::query_missing_users;
use record::Account;

/// How many characters a token has: about 190 bits.
const TOKEN_CHARS: usize = 32;
/// How many characters a device id of ours has.
const DEVICE_ID_CHARS: usize = 10;

/// All accounts. Clones are the same accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    pub(crate) store: Store,
    pub(crate) server_name: OwnedServerName,
    /// What is written beside the requests.
    tasks: Tasks,
    /// Whether guests may act.
    guests_allowed: bool,
    /// The registration tokens of the configuration, as they were at the start.
    configured_tokens: Arc<[Secret]>,
    pub(crate) sessions: Arc<uia::Sessions>,
    attempts: Arc<attempts::GuessLimiter>,
    hashing: Arc<password::PasswordHasher>,
    seen: Arc<seen::LastSeen>,
    /// Of which account and network the log says that a password was wrong.
    wrong_passwords: Arc<LogThrottle<(OwnedUserId, Option<IpAddr>)>>,
    pub(crate) nonces: Arc<nonces::Nonces>,
    /// One after the other: changes of one user that read before they write.
    pub(crate) user_locks: Arc<user_locks::UserLocks>,
    /// Held by whoever makes or changes the account or devices of a user, from reading them to writing them.
    pub(crate) changing: KeyedLocks<OwnedUserId>,
    /// Held by whoever spends a registration token, or may become the first person (the empty text).
    pub(crate) registering: KeyedLocks<String>,
}

/// A secret text that only its owner gets to see.
pub fn new_token() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(TOKEN_CHARS)
        .map(char::from)
        .collect()
}

/// A name for a device that brought none.
fn new_device_id() -> OwnedDeviceId {
    let name: String = rand::rng()
        .sample_iter(Alphanumeric)
        .take(DEVICE_ID_CHARS)
        .map(char::from)
        .collect();
    name.to_ascii_uppercase().into()
}

/// The network that is named most often; ties do not matter.
fn most_frequent_network(networks: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
    let mut counts = HashMap::new();
    for network in networks {
        *counts.entry(network).or_insert(0_usize) += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.and_then(|(network, _)| network)
}

/// What is stored of a token.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether an application service that is not registered any more gave out the tokens of this account or of this device. Nobody
/// else logs in with an account that it made and that has no password.
fn has_lost_appservice(appservices: &Appservices, account: &Account, device: Option<&str>) -> bool {
    let made_by = account.appservice.as_deref();
    let made_by = made_by.filter(|_| account.password.is_none());
    let id = device.or(made_by);
    id.is_some_and(|id| appservices.get(id).is_none())
}

impl Accounts {
    /// The accounts in this database.
    ///
    /// # Errors
    ///
    /// If the file of the registration tokens cannot be read.
    pub fn open(store: Store, config: &Config, tasks: Tasks) -> Result<Self> {
        let tokens = config.registration.tokens();
        let tokens = tokens.map_err(|error| Error::Broken(error.to_string()))?;
        Ok(Self {
            store,
            server_name: config.server_name.clone(),
            tasks,
            guests_allowed: config.registration.allow_guest_registration,
            configured_tokens: tokens.into(),
            sessions: Arc::default(),
            attempts: Arc::default(),
            hashing: Arc::default(),
            seen: Arc::default(),
            wrong_passwords: Arc::default(),
            nonces: Arc::default(),
            user_locks: Arc::default(),
            changing: KeyedLocks::default(),
            registering: KeyedLocks::default(),
        })
    }

    /// Waits until nobody else changes the account or the devices of the user. Whoever also locks keys does so before.
    pub(crate) async fn lock(&self, user: &UserId) -> KeyedGuard<OwnedUserId> {
        self.changing.lock([user.to_owned()]).await
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
    pub async fn caller(
        &self,
        appservices: &Appservices,
        token: &str,
        facts: &RequestMetadata,
    ) -> Result<Caller> {
        let digest = digest(token);
        let Some(token) = self.store.get::<tables::Tokens>((digest,))? else {
            return Err(unknown_token(false));
        };
        if token.expires.is_some_and(|end| end <= clock::now()) {
            return Err(unknown_token(token.refresh.is_some()));
        }
        let account = self
            .get(&token.user_id)?
            .ok_or_else(|| unknown_token(false))?;
        if self.has_ended(&account)
            || has_lost_appservice(appservices, &account, token.appservice.as_deref())
        {
            return Err(unknown_token(false));
        }
        if account.locked && !facts.is_logout() {
            return Err(moderation::user_locked_error());
        }
        self.retire_replaced(&token).await?;
        self.note_seen(&token, facts);
        Ok(Caller {
            user_id: token.user_id,
            device_id: Some(token.device_id),
            appservice: None,
            guest: account.guest,
        })
    }

    /// Whether nobody acts with this account any more: it is deactivated, or a guest's where guests are not wanted.
    fn has_ended(&self, account: &Account) -> bool {
        account.deactivated || (account.guest && !self.guests_allowed)
    }

    /// Refuses the answer to a request that was read after its device was logged out or its user was locked.
    ///
    /// # Errors
    ///
    /// 401 `M_UNKNOWN_TOKEN` or `M_USER_LOCKED`.
    pub fn check_still_logged_in(&self, user: &UserId, device: Option<&DeviceId>) -> Result<()> {
        let Some(device) = device else { return Ok(()) };
        if !self.has_device(user, device)? {
            return Err(unknown_token(false));
        }
        match self.get(user)? {
            Some(account) if account.locked => Err(moderation::user_locked_error()),
            _ => Ok(()),
        }
    }

    /// The hash of a new password.
    ///
    /// # Errors
    ///
    /// 400 if it cannot be a password, 429 if too many wait for a hash.
    pub(crate) async fn hash(&self, password: &str, by: &HashRequester) -> Result<String> {
        self.hashing.hash(password, by).await
    }

    /// The proof that this is the password of the user, if it is. Nobody knows the password of an account that is not there.
    ///
    /// # Errors
    ///
    /// 429 if there were too many wrong guesses, or if too many wait for a hash.
    pub(crate) async fn prove_password(
        &self,
        user: &UserId,
        given: &str,
        facts: &RequestMetadata,
    ) -> Result<Option<ProvenPassword>> {
        let by = HashRequester::from(facts);
        // Whoever finds the queue full has not guessed.
        let has_device_here = || self.has_device_at(user, facts.ip);
        let slot = self.hashing.enqueue_user(&by, has_device_here)?;
        let guess = self.begin_guess(user, facts.ip)?;
        let hash = self.get(user)?.and_then(|account| account.password);
        let matches = self.hashing.matches(slot, &by, hash.clone(), given);
        if matches.await? {
            self.attempts.succeeded(guess);
            return Ok(hash.map(ProvenPassword::new));
        }
        let about = (user.to_owned(), facts.ip.map(network_of));
        if let Some(suppressed) = self
            .wrong_passwords
            .record_occurrence(about, Instant::now())
        {
            tracing::info!(user.id = %user, client.ip = ?facts.ip, suppressed, "wrong password");
        }
        Ok(None)
    }

    /// Counts a guess at a password.
    fn begin_guess(&self, user: &UserId, ip: Option<IpAddr>) -> Result<Guess> {
        let begin = |has_device_here| {
            let target = GuessTarget::Account {
                user,
                has_device_here,
            };
            self.attempts.begin(target, ip, Instant::now())
        };
        let begun = match begin(false) {
            // Looked up only if it matters, and not while others wait for the counters.
            Err(Exceeded::ByAccount(_)) if self.has_device_at(user, ip)? => begin(true),
            begun => begun,
        };
        begun.map_err(Exceeded::into_error)
    }

    /// Whether a device of the user was last seen at this address.
    fn has_device_at(&self, user: &UserId, ip: Option<IpAddr>) -> Result<bool> {
        let Some(here) = ip.map(network_of) else {
            return Ok(false);
        };
        for row in self.store.scan::<tables::Devices>((user,)) {
            let (_, device) = row?;
            let seen = device.last_seen_ip.and_then(|ip| ip.parse().ok());
            if seen.map(network_of) == Some(here) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at a secret that belongs to no account, or to nobody knows which, such as a token to log in with. A wrong one is counted
    /// for the address that it comes from.
    ///
    /// # Errors
    ///
    /// 429 if too many wrong ones came from there; those of `look`.
    pub(crate) async fn limit_guesses<T>(
        &self,
        facts: &RequestMetadata,
        look: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<T>> {
        let guess = self
            .attempts
            .begin(GuessTarget::Token, facts.ip, Instant::now())
            .map_err(Exceeded::into_error)?;
        let found = look.await?;
        if found.is_some() {
            self.attempts.succeeded(guess);
        }
        Ok(found)
    }

    /// Writes an account, new or changed, into the batch.
    #[allow(
        clippy::unused_self,
        reason = "it reads like what else accounts can do"
    )]
    pub fn put(&self, batch: &mut Batch, user: &UserId, account: &Account) -> Result<()> {
        Ok(batch.put::<tables::Accounts>((user,), account)?)
    }
}
