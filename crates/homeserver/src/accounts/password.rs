//! Passwords: Argon2id in PHC form, so that hashes can be taken over from and given to other servers.
//!
//! Hashing is slow on purpose and needs memory, so it runs on threads of its own, only a few at a time, and few wait: a flood of
//! logins is refused instead of queued. No address has more than half of the queue, and whoever hangs up leaves it without having
//! anything computed. A password is checked in the same time whether or not there is an account.
//! Spec: <https://www.rfc-editor.org/rfc/rfc9106>

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordVerifier, Version,
    password_hash::{PasswordHash, PasswordHasher as _, SaltString},
};
use rand::RngCore;
use ruma::api::error::ErrorKind;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    caller::RequestMetadata,
    error::{Error, Result},
    holder::network_of,
    limits::{
        HASHES_AT_ONCE, HASHES_WAITING_MAX, HASHES_WAITING_PER_ADDRESS_MAX, PASSWORD_MAX_BYTES,
    },
};

/// How much memory one hash takes, in KiB: what OWASP advises for Argon2id with two passes.
const MEMORY_KIB: u32 = 19_456;
/// How often the memory is gone through.
const PASSES: u32 = 2;
/// How many lanes it is gone through in.
const LANES: u32 = 1;
/// How long a salt is, in bytes.
const SALT_BYTES: usize = 16;
/// After what time a caller may try again that found the queue full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What a password is compared with where there is no account, so that the answer takes as long as with one.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody's").ok());

/// For whom a hash is computed.
#[derive(Clone, Debug)]
pub enum HashRequester {
    /// An admin, or the server itself: it waits as long as it takes.
    Admin,
    /// A client.
    Client {
        /// Its address.
        ip: Option<IpAddr>,
        /// Cancelled when it hangs up.
        disconnected: CancellationToken,
    },
}

impl From<&RequestMetadata> for HashRequester {
    fn from(facts: &RequestMetadata) -> Self {
        Self::Client {
            ip: facts.ip,
            disconnected: facts.disconnected.clone(),
        }
    }
}

/// Where hashes are computed.
#[derive(Debug)]
pub(super) struct PasswordHasher {
    /// For everybody.
    default_lane: Lane,
    /// For who had a device at the address that they log in from, while others wait: whoever guesses from many addresses keeps
    /// nobody out of an account that is used.
    known_device_lane: Lane,
    /// How many hashes were begun.
    #[cfg(test)]
    begun: std::sync::atomic::AtomicUsize,
}

/// A queue for hashes, and how many of it are computed at a time.
#[derive(Debug)]
struct Lane {
    slots: Arc<Semaphore>,
    queue: Mutex<Queue>,
}

/// Who waits for a hash.
#[derive(Debug, Default)]
struct Queue {
    waiting: usize,
    by_network: HashMap<Option<IpAddr>, usize>,
}

/// A slot in the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct QueueSlot<'a> {
    lane: &'a Lane,
    network: Option<IpAddr>,
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        let mut queue = self.lane.lock();
        queue.waiting = queue.waiting.saturating_sub(1);
        if let Some(waiting) = queue.by_network.get_mut(&self.network) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                queue.by_network.remove(&self.network);
            }
        }
    }
}

impl Lane {
    fn new(at_once: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(at_once)),
            queue: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for PasswordHasher {
    fn default() -> Self {
        Self {
            default_lane: Lane::new(hashes_at_once()),
            known_device_lane: Lane::new(1),
            #[cfg(test)]
            begun: std::sync::atomic::AtomicUsize::new(0),
        }
    }
}

/// Half of the processors, so that those who only guess leave the other half to the others.
fn hashes_at_once() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (processors / 2).clamp(1, HASHES_AT_ONCE)
}

impl PasswordHasher {
    /// The hash of a new password.
    ///
    /// # Errors
    ///
    /// 400 `M_WEAK_PASSWORD` if it is empty, `M_INVALID_PARAM` if it is too long; 429 if too many wait.
    pub(super) async fn hash(&self, password: &str, by: &HashRequester) -> Result<String> {
        if password.is_empty() {
            return Err(Error::bad_request(
                ErrorKind::WeakPassword,
                "A password cannot be empty",
            ));
        }
        if password.len() > PASSWORD_MAX_BYTES {
            return Err(Error::invalid(format!(
                "Password too long (max {PASSWORD_MAX_BYTES} bytes)"
            )));
        }
        let slot = self.enqueue(by)?;
        let password = password.to_owned();
        self.run(slot, by, move || hash_now(&password)).await?
    }

    /// Whether this is the password of the account with this hash. Nobody has the password of an account without one.
    pub(super) async fn matches(
        &self,
        slot: Option<QueueSlot<'_>>,
        by: &HashRequester,
        hash: Option<String>,
        password: &str,
    ) -> Result<bool> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Ok(false);
        }
        let password = password.to_owned();
        self.run(slot, by, move || {
            let known = hash.is_some();
            let Some(hash) = hash.or_else(|| NOBODYS.clone()) else {
                return false;
            };
            PasswordHash::new(&hash).is_ok_and(|hash| {
                // The hash says with which parameters it was made; these here are only for new ones.
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            }) && known
        })
        .await
    }

    /// Takes a slot in the queue. Admins need none.
    ///
    /// # Errors
    ///
    /// 429 `M_LIMIT_EXCEEDED` if too many wait, of all or of this address.
    pub(super) fn enqueue(&self, by: &HashRequester) -> Result<Option<QueueSlot<'_>>> {
        Self::enqueue_in(&self.default_lane, by)
    }

    /// The same for somebody who may have a device at their address, which is looked up only if others wait.
    pub(super) fn enqueue_user(
        &self,
        by: &HashRequester,
        has_device_here: impl FnOnce() -> Result<bool>,
    ) -> Result<Option<QueueSlot<'_>>> {
        let others_wait = self.default_lane.lock().waiting > 0;
        let is_known = others_wait && has_device_here()?;
        Self::enqueue_in(
            if is_known {
                &self.known_device_lane
            } else {
                &self.default_lane
            },
            by,
        )
    }

    fn enqueue_in<'a>(lane: &'a Lane, by: &HashRequester) -> Result<Option<QueueSlot<'a>>> {
        let HashRequester::Client { ip, .. } = by else {
            return Ok(None);
        };
        let network = ip.map(network_of);
        let mut queue = lane.lock();
        let here = queue.by_network.get(&network).copied().unwrap_or_default();
        if queue.waiting >= HASHES_WAITING_MAX || here >= HASHES_WAITING_PER_ADDRESS_MAX {
            return Err(Error::limit_exceeded(
                RETRY_AFTER,
                "Too many people log in at this moment; try again",
            ));
        }
        queue.waiting += 1;
        *queue.by_network.entry(network).or_default() += 1;
        Ok(Some(QueueSlot { lane, network }))
    }

    /// Computes when it is the caller's turn.
    async fn run<T: Send + 'static>(
        &self,
        slot: Option<QueueSlot<'_>>,
        by: &HashRequester,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let lane = slot.as_ref().map_or(&self.default_lane, |slot| slot.lane);
        let turn = lane.slots.clone().acquire_owned();
        let turn = match by {
            HashRequester::Admin => turn.await,
            HashRequester::Client { disconnected, .. } => tokio::select! {
                biased;
                () = disconnected.cancelled() => {
                    return Err(Error::bad_request(ErrorKind::Unknown, "The client has disconnected"));
                }
                turn = turn => turn,
            },
        };
        let turn = turn.map_err(|error| Error::Broken(format!("hashing has ended: {error}")))?;
        drop(slot);
        #[cfg(test)]
        self.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // The turn goes with the work: it is over when the thread is done, even if nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        });
        working
            .await
            .map_err(|error| Error::Broken(format!("hashing was lost: {error}")))
    }
}

fn hash_now(password: &str) -> Result<String> {
    let broken = |error: &dyn std::fmt::Display| Error::Broken(format!("hashing failed: {error}"));
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| broken(&error))?;
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(|error| broken(&error))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| broken(&error))
}

#[cfg(test)]
impl PasswordHasher {
    /// Keeps every hash waiting until this is dropped.
    pub(super) fn stop(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(hashes_at_once()).unwrap();
        self.default_lane
            .slots
            .clone()
            .try_acquire_many_owned(all)
            .unwrap()
    }

    pub(super) fn waiting(&self) -> usize {
        self.default_lane.lock().waiting
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_matches_its_hash() {
        let (hashing, by) = (PasswordHasher::default(), HashRequester::Admin);
        let hash = async |password: &str| hashing.hash(password, &by).await;
        let matches =
            async |hash, password: &str| hashing.matches(None, &by, hash, password).await.unwrap();
        let kept = hash("correct horse").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches(Some(kept.clone()), "correct horse").await);
        assert!(!matches(Some(kept), "battery staple").await);
        assert!(!matches(None, "nobody's").await);
        assert!(hash("").await.is_err());
        assert!(hash(&"x".repeat(PASSWORD_MAX_BYTES + 1)).await.is_err());
        assert_eq!(hashing.begun(), 4);
    }
}
