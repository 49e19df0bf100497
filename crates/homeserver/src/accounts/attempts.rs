//! How often somebody may guess a password: wrong ones are counted for each account and the address they come from.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use ruma::{
    OwnedUserId, UserId,
    api::error::{ErrorKind, LimitExceededErrorData, RetryAfter},
};

use crate::error::{Error, Result};

/// How many wrong passwords in a row are free.
const FREE: u32 = 10;
/// After this time a wrong password is forgotten, one by one.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// How many accounts and addresses are remembered. Beyond it, those are dropped that have nothing against them any more.
const REMEMBERED_MAX: usize = 20_000;

type Who = (OwnedUserId, Option<IpAddr>);

/// Wrong passwords, as a time at which all of them are forgotten.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    clean_at: Mutex<HashMap<Who, Instant>>,
}

impl Attempts {
    /// Counts a password as wrong before it is looked at, so that many at a time are no way around the limit.
    ///
    /// # Errors
    ///
    /// 429 `M_LIMIT_EXCEEDED` with the time to wait if there were too many wrong passwords. This one is not counted then.
    pub(super) fn begin(&self, user: &UserId, ip: Option<IpAddr>, now: Instant) -> Result<()> {
        let mut clean_at = self.clean_at.lock().unwrap_or_else(PoisonError::into_inner);
        if clean_at.len() >= REMEMBERED_MAX {
            clean_at.retain(|_, at| *at > now);
        }
        if clean_at.len() >= REMEMBERED_MAX {
            clean_at.clear();
        }
        let at = clean_at.entry((user.to_owned(), ip)).or_insert(now);
        let after = (*at).max(now) + FORGIVEN_AFTER;
        let wait = after
            .duration_since(now)
            .saturating_sub(FORGIVEN_AFTER * FREE);
        if wait.is_zero() {
            *at = after;
            return Ok(());
        }
        let mut data = LimitExceededErrorData::new();
        // Whole seconds, rounded up: the header of HTTP knows no smaller ones.
        data.retry_after = Some(RetryAfter::Delay(Duration::from_secs(wait.as_secs() + 1)));
        Err(Error::refused(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::LimitExceeded(data),
            "Too many wrong passwords; wait a little",
        ))
    }

    /// Forgets what was wrong: the right password came.
    pub(super) fn succeeded(&self, user: &UserId, ip: Option<IpAddr>) {
        self.clean_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(user.to_owned(), ip));
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn guesses_run_out_and_come_back_one_by_one() {
        let (attempts, alice, now) = (Attempts::default(), user_id!("@a:b.c"), Instant::now());
        for _ in 0..FREE {
            assert!(attempts.begin(alice, None, now).is_ok());
        }
        assert!(attempts.begin(alice, None, now).is_err());
        assert!(attempts.begin(user_id!("@b:b.c"), None, now).is_ok());
        let later = now + FORGIVEN_AFTER;
        assert!(attempts.begin(alice, None, later).is_ok());
        assert!(attempts.begin(alice, None, later).is_err());
        attempts.succeeded(alice, None);
        assert!(attempts.begin(alice, None, later).is_ok());
    }
}
