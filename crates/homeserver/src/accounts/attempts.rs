//! How often somebody may guess a secret: a password, a registration token, a token to log in with.
//!
//! Wrong guesses are counted three times: for an account at an address, so that a stranger's guesses do not lock the owner out
//! elsewhere; for the address, so that many accounts are no way around it; and, much later and over all addresses, for the account.
//! This last limit does not hold at addresses where the account has a device, so the owner comes in during an attack by many.
//!
//! A guess is counted before it is looked at, so that many at a time are no way around the limits, and taken back if it was right.
//! The counters are GCRA, one instant each. `governor` has the same, but cannot take back or look at three at once.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{OwnedUserId, UserId};
use tokio::time::Instant;

use crate::limits::{
    GUESSES_AT_ACCOUNT, GUESSES_AT_ACCOUNT_PER_ADDRESS, GUESSES_AT_ACCOUNT_PER_ADDRESS_REFILL,
    GUESSES_AT_ACCOUNT_REFILL, GUESSES_PER_ADDRESS, GUESSES_PER_ADDRESS_REFILL,
};
use crate::{error::Error, holder::network_of};

/// How many counters of each kind are kept. Beyond it, the half goes that has the least against it.
const COUNTERS_MAX: usize = 20_000;

/// The network that somebody guesses from, if it is known.
type Network = Option<IpAddr>;

/// Why somebody may not guess now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Too many wrong guesses from this address.
    ByAddress(Duration),
    /// Too many at the account from all addresses together.
    ByAccount(Duration),
}

impl Exceeded {
    /// 429 `M_LIMIT_EXCEEDED` with the time to wait.
    pub(super) fn into_error(self) -> Error {
        let (Self::ByAddress(wait) | Self::ByAccount(wait)) = self;
        Error::limit_exceeded(wait, "Too many wrong guesses; wait a little")
    }
}

/// What is guessed at.
#[derive(Clone, Copy, Debug)]
pub(super) enum GuessTarget<'a> {
    /// The password of an account.
    Account {
        /// Whose.
        user: &'a UserId,
        /// Whether the account has a device at this address.
        has_device_here: bool,
    },
    /// A secret that belongs to no account, or to nobody knows which.
    Token,
}

/// A guess that was counted.
#[derive(Debug)]
#[must_use = "a right guess is to be taken back"]
pub(super) struct Guess {
    user: Option<OwnedUserId>,
    network: Network,
}

/// Wrong guesses.
#[derive(Debug)]
pub(super) struct GuessLimiter {
    counters: Mutex<Counters>,
}

#[derive(Debug)]
struct Counters {
    account_at_address: Counter<(OwnedUserId, Network)>,
    address: Counter<Network>,
    account: Counter<OwnedUserId>,
}

impl Default for GuessLimiter {
    fn default() -> Self {
        let counters = Counters {
            account_at_address: Counter::new(
                GUESSES_AT_ACCOUNT_PER_ADDRESS,
                GUESSES_AT_ACCOUNT_PER_ADDRESS_REFILL,
            ),
            address: Counter::new(GUESSES_PER_ADDRESS, GUESSES_PER_ADDRESS_REFILL),
            account: Counter::new(GUESSES_AT_ACCOUNT, GUESSES_AT_ACCOUNT_REFILL),
        };
        Self {
            counters: Mutex::new(counters),
        }
    }
}

impl GuessLimiter {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a guess as wrong before it is looked at. One that may not be made is not counted.
    pub(super) fn begin(
        &self,
        target: GuessTarget<'_>,
        ip: Option<IpAddr>,
        now: Instant,
    ) -> Result<Guess, Exceeded> {
        let network = ip.map(network_of);
        let mut counters = self.lock();
        let mut here = counters.address.wait(&network, now);
        let mut user = None;
        if let GuessTarget::Account {
            user: id,
            has_device_here,
        } = target
        {
            let key = (id.to_owned(), network);
            here = here.max(counters.account_at_address.wait(&key, now));
            let wait = counters.account.wait(&key.0, now);
            if here.is_zero() && !wait.is_zero() && !has_device_here {
                return Err(Exceeded::ByAccount(wait));
            }
            user = Some(key);
        }
        if !here.is_zero() {
            return Err(Exceeded::ByAddress(here));
        }
        counters.address.count(network, now);
        if let Some(key) = &user {
            counters.account.count(key.0.clone(), now);
            counters.account_at_address.count(key.clone(), now);
        }
        Ok(Guess {
            user: user.map(|(user, _)| user),
            network,
        })
    }

    /// Takes a guess back: it was right. All others at this account from this address are forgotten with it.
    pub(super) fn succeeded(&self, guess: Guess) {
        let mut counters = self.lock();
        counters.address.refund(&guess.network);
        if let Some(user) = guess.user {
            counters.account.refund(&user);
            let key = (user, guess.network);
            counters.account_at_address.clean_at.remove(&key);
        }
    }
}

/// Guesses, as a time at which all of them are forgotten.
#[derive(Debug)]
struct Counter<K> {
    clean_at: HashMap<K, Instant>,
    burst: u32,
    refill: Duration,
}

impl<K: Clone + Eq + Hash> Counter<K> {
    fn new(burst: u32, refill: Duration) -> Self {
        Self {
            clean_at: HashMap::new(),
            burst,
            refill,
        }
    }

    /// How long until the next guess is free.
    fn wait(&self, key: &K, now: Instant) -> Duration {
        let clean_at = self.clean_at.get(key).copied().unwrap_or(now).max(now);
        let after = clean_at.duration_since(now) + self.refill;
        after.saturating_sub(self.refill * self.burst)
    }

    fn count(&mut self, key: K, now: Instant) {
        if self.clean_at.len() >= COUNTERS_MAX && !self.clean_at.contains_key(&key) {
            self.make_room(now);
        }
        let at = self.clean_at.entry(key).or_insert(now);
        *at = (*at).max(now) + self.refill;
    }

    fn refund(&mut self, key: &K) {
        if let Some(at) = self.clean_at.get_mut(key) {
            // An instant before the boot of the machine cannot be had, nor is it needed.
            *at = at.checked_sub(self.refill).unwrap_or(*at);
        }
    }

    /// Whoever floods the table with new names does not make it forget who has guessed most.
    fn make_room(&mut self, now: Instant) {
        self.clean_at.retain(|_, at| *at > now);
        if self.clean_at.len() >= COUNTERS_MAX {
            let mut times: Vec<Instant> = self.clean_at.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(COUNTERS_MAX / 2);
            let middle = *middle;
            self.clean_at.retain(|_, at| *at > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ruma::user_id;

    use super::*;

    fn at(user: &UserId) -> GuessTarget<'_> {
        GuessTarget::Account {
            user,
            has_device_here: false,
        }
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn guesses_run_out_and_come_back_one_by_one() {
        let (attempts, alice, now) = (GuessLimiter::default(), user_id!("@a:b.c"), Instant::now());
        for _ in 0..GUESSES_AT_ACCOUNT_PER_ADDRESS {
            drop(attempts.begin(at(alice), None, now).unwrap());
        }
        let spent = attempts.begin(at(alice), None, now).unwrap_err();
        assert_eq!(
            spent,
            Exceeded::ByAddress(GUESSES_AT_ACCOUNT_PER_ADDRESS_REFILL)
        );
        assert!(attempts.begin(at(user_id!("@b:b.c")), None, now).is_ok());
        let later = now + GUESSES_AT_ACCOUNT_PER_ADDRESS_REFILL;
        let guess = attempts.begin(at(alice), None, later).unwrap();
        assert!(attempts.begin(at(alice), None, later).is_err());
        attempts.succeeded(guess);
        assert!(attempts.begin(at(alice), None, later).is_ok());
    }

    #[test]
    fn one_address_cannot_guess_at_many_accounts() {
        for size in [1, 3] {
            let (attempts, now) = (GuessLimiter::default(), Instant::now());
            let users: Vec<_> = (0..60)
                .map(|number| UserId::parse(format!("@u{}:b.c", number / size)).unwrap())
                .collect();
            let answered = users
                .iter()
                .filter(|user| attempts.begin(at(user), Some(address(7)), now).is_ok())
                .count();
            assert_eq!(answered, GUESSES_PER_ADDRESS as usize);
            assert!(
                attempts
                    .begin(GuessTarget::Token, Some(address(7)), now)
                    .is_err()
            );
            assert!(
                attempts
                    .begin(GuessTarget::Token, Some(address(8)), now)
                    .is_ok()
            );
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let (attempts, now) = (GuessLimiter::default(), Instant::now());
        let answered = (0..60_u64).filter(|number| {
            let address = format!("2001:db8::{number:x}").parse().unwrap();
            attempts
                .begin(GuessTarget::Token, Some(address), now)
                .is_ok()
        });
        assert_eq!(answered.count(), GUESSES_PER_ADDRESS as usize);
    }

    #[test]
    fn stranger_does_not_lock_the_owner_out_elsewhere() {
        let (attempts, alice) = (GuessLimiter::default(), user_id!("@a:b.c"));
        let mut now = Instant::now();
        // A stranger who guesses as fast as it is let, for an hour.
        for _ in 0..3_600 {
            drop(attempts.begin(at(alice), Some(address(1)), now));
            now += Duration::from_secs(1);
        }
        while attempts.begin(at(alice), Some(address(1)), now).is_ok() {}
        let guess = attempts.begin(at(alice), Some(address(2)), now).unwrap();
        attempts.succeeded(guess);
    }

    #[test]
    fn many_addresses_together_are_slowed_down_but_not_the_owner_at_home() {
        let (attempts, alice, now) = (GuessLimiter::default(), user_id!("@a:b.c"), Instant::now());
        let answered = (0..500).filter(|number| {
            let guess = attempts.begin(at(alice), Some(address(*number)), now);
            guess.is_ok()
        });
        assert_eq!(answered.count(), GUESSES_AT_ACCOUNT as usize);
        let spent = attempts
            .begin(at(alice), Some(address(1_000)), now)
            .unwrap_err();
        assert_eq!(spent, Exceeded::ByAccount(GUESSES_AT_ACCOUNT_REFILL));
        let home = GuessTarget::Account {
            user: alice,
            has_device_here: true,
        };
        assert!(attempts.begin(home, Some(address(1_000)), now).is_ok());
        assert!(
            attempts
                .begin(at(user_id!("@b:b.c")), Some(address(1)), now)
                .is_ok()
        );
    }

    #[test]
    fn flood_of_names_does_not_make_it_forget() {
        let now = Instant::now();
        let mut counter = Counter::new(3, Duration::from_secs(1));
        for _ in 0..3 {
            counter.count(0, now);
        }
        for name in 1..3 * COUNTERS_MAX {
            counter.count(name, now);
            assert!(counter.clean_at.len() <= COUNTERS_MAX);
        }
        assert!(!counter.wait(&0, now).is_zero());
        // What is over is forgotten first.
        let later = now + Duration::from_secs(10);
        counter.count(COUNTERS_MAX * 4, later);
        for name in 0..COUNTERS_MAX {
            counter.count(COUNTERS_MAX * 5 + name, later);
        }
        assert!(!counter.clean_at.contains_key(&0));
        assert!(counter.clean_at.len() <= COUNTERS_MAX);
    }
}
