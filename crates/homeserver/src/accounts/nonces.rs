//! Numbers that are good for one registration with the shared secret, for a short time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::new_token;

/// How long one is good.
const LIFE: Duration = Duration::from_mins(1);
/// How many are good at a time. Beyond it none is given out.
const NONCES_MAX: usize = 1_000;

/// All that are good.
#[derive(Debug, Default)]
pub struct Nonces {
    ends: Mutex<HashMap<String, Instant>>,
}

impl Nonces {
    /// A new one; nothing if there are too many.
    pub fn issue(&self, now: Instant) -> Option<String> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|_, end| *end > now);
        if ends.len() >= NONCES_MAX {
            return None;
        }
        let nonce = new_token();
        ends.insert(nonce.clone(), now + LIFE);
        Some(nonce)
    }

    /// Uses one up. Says whether it was good.
    pub fn take(&self, nonce: &str, now: Instant) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.remove(nonce).is_some_and(|end| end > now)
    }
}
