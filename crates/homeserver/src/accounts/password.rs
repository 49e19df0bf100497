//! Passwords: Argon2id in PHC form, so that hashes can be taken over from and given to other servers.
//!
//! Hashing is slow on purpose and needs memory, so it runs on threads of its own, and only a few at a time: a flood of logins costs
//! patience, not the machine. A password is checked in the same time whether or not there is an account.
//! Spec: <https://www.rfc-editor.org/rfc/rfc9106>

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{PasswordHash, SaltString},
};
use rand::RngCore;
use ruma::api::error::ErrorKind;
use tokio::sync::Semaphore;

use crate::{
    error::{Error, Result},
    limits::PASSWORD_MAX_BYTES,
};

/// How much memory one hash takes, in KiB: what OWASP advises for Argon2id with two passes.
const MEMORY_KIB: u32 = 19_456;
/// How often the memory is gone through.
const PASSES: u32 = 2;
/// How many lanes it is gone through in.
const LANES: u32 = 1;
/// How long a salt is, in bytes.
const SALT_BYTES: usize = 16;
/// How many hashes are computed at a time: together they take 38 MiB at most.
const HASHES_AT_ONCE: usize = 2;

static HASHING: Semaphore = Semaphore::const_new(HASHES_AT_ONCE);

/// What a password is compared with where there is no account, so that the answer takes as long as with one.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody's").ok());

/// The hash of a new password.
///
/// # Errors
///
/// 400 `M_WEAK_PASSWORD` if it is empty, `M_INVALID_PARAM` if it is too long.
pub(super) async fn hash(password: &str) -> Result<String> {
    if password.is_empty() {
        return Err(Error::bad_request(
            ErrorKind::WeakPassword,
            "A password cannot be empty",
        ));
    }
    if password.len() > PASSWORD_MAX_BYTES {
        return Err(Error::invalid(format!(
            "A password can have {PASSWORD_MAX_BYTES} bytes"
        )));
    }
    let password = password.to_owned();
    on_a_thread(move || hash_now(&password)).await?
}

/// Whether this is the password of the account with this hash. Nobody has the password of an account without one.
pub(super) async fn matches(hash: Option<String>, password: &str) -> Result<bool> {
    if password.len() > PASSWORD_MAX_BYTES {
        return Ok(false);
    }
    let password = password.to_owned();
    on_a_thread(move || {
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

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = HASHING
        .acquire()
        .await
        .map_err(|error| Error::Broken(format!("hashing has ended: {error}")))?;
    let outcome = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Broken(format!("hashing was lost: {error}")));
    drop(turn);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_matches_its_hash() {
        let kept = hash("correct horse").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches(Some(kept.clone()), "correct horse").await.unwrap());
        assert!(!matches(Some(kept), "battery staple").await.unwrap());
        assert!(!matches(None, "nobody's").await.unwrap());
        assert!(hash("").await.is_err());
        assert!(hash(&"x".repeat(PASSWORD_MAX_BYTES + 1)).await.is_err());
    }
}
