//! Numbers that are good for one registration with the shared secret, for a short time.
//!
//! Whoever asks for many makes its own oldest one end, not that of somebody else.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{most_frequent_network, new_token};
use crate::limits::NONCES_MAX;

/// How long one is good.
const LIFE: Duration = Duration::from_mins(1);
/// All that are good: when each ends, and whose it is.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    all: Mutex<HashMap<String, (Instant, Option<IpAddr>)>>,
}

impl Nonces {
    /// A new one for somebody in this network.
    pub(crate) fn issue(&self, network: Option<IpAddr>, now: Instant) -> String {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (end, _)| *end > now);
        if all.len() >= NONCES_MAX {
            let most = most_frequent_network(all.values().map(|(_, network)| *network));
            let of_most = all.iter().filter(|(_, (_, network))| *network == most);
            let oldest = of_most.min_by_key(|(_, (end, _))| *end);
            if let Some(oldest) = oldest.map(|(nonce, _)| nonce.clone()) {
                all.remove(&oldest);
            }
        }
        let nonce = new_token();
        all.insert(nonce.clone(), (now + LIFE, network));
        nonce
    }

    /// Uses one up. Says whether it was good.
    pub(crate) fn take(&self, nonce: &str, now: Instant) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(nonce).is_some_and(|(end, _)| end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_of_one_network_ends_only_its_own() {
        let (nonces, now) = (Nonces::default(), Instant::now());
        let one = nonces.issue(Some("192.0.2.1".parse().unwrap()), now);
        let flood = Some("192.0.2.66".parse().unwrap());
        for _ in 0..3 * NONCES_MAX {
            nonces.issue(flood, now);
        }
        assert_eq!(nonces.all.lock().unwrap().len(), NONCES_MAX);
        assert!(nonces.take(&one, now));
        assert!(!nonces.take(&one, now), "it is good once");
    }
}
