//! Buckets of tokens, one for each user and kind of request, see [`RATES`].
//!
//! Buckets that are full again are dropped, so memory does not grow with everybody who ever wrote.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use governor::{Quota, RateLimiter, clock::Clock, state::keyed::HashMapStateStore};
use ruma::OwnedUserId;
#[cfg(not(test))]
use tokio::time::Instant;

use super::{RATES, Rate, RateLimit};

/// After how many counted requests the buckets that are full again are dropped.
pub(crate) const SWEEP_EVERY: u64 = 4_096;

type Buckets = RateLimiter<
    OwnedUserId,
    HashMapStateStore<OwnedUserId>,
    RateClock,
    governor::middleware::NoOpMiddleware<Duration>,
>;

/// The time since the server was started; tests move it on.
#[derive(Clone, Debug)]
struct RateClock {
    #[cfg(not(test))]
    started: Instant,
    #[cfg(test)]
    skipped_ms: std::sync::Arc<AtomicU64>,
}

impl RateClock {
    fn start() -> Self {
        Self {
            #[cfg(not(test))]
            started: Instant::now(),
            #[cfg(test)]
            skipped_ms: std::sync::Arc::default(),
        }
    }
}

impl Clock for RateClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        #[cfg(test)]
        return Duration::from_millis(self.skipped_ms.load(Ordering::Relaxed));
        #[cfg(not(test))]
        self.started.elapsed()
    }
}

/// The buckets of everybody.
#[derive(Debug)]
pub struct RateLimits {
    /// One for each of [`RATES`]; none if nothing is limited.
    buckets: Vec<Buckets>,
    clock: RateClock,
    counted: AtomicU64,
}

#[cfg(test)]
impl RateLimits {
    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.clock.skipped_ms.fetch_add(time, Ordering::Relaxed);
    }

    /// How many buckets are kept.
    pub(crate) fn kept(&self) -> usize {
        self.buckets.iter().map(RateLimiter::len).sum()
    }
}

impl RateLimits {
    /// Full buckets for everybody, or no limits at all.
    pub fn new(limited: bool) -> Self {
        let clock = RateClock::start();
        let rates = RATES.iter().filter(|_| limited);
        let buckets = rates
            .map(|limit| RateLimiter::hashmap_with_clock(quota(limit), clock.clone()))
            .collect();
        Self {
            buckets,
            clock,
            counted: AtomicU64::new(0),
        }
    }

    /// Takes `count` tokens of a user. Without enough of them, says how long that takes.
    pub(crate) fn take(
        &self,
        user: &OwnedUserId,
        rate: Rate,
        count: NonZeroU32,
    ) -> Result<(), Duration> {
        let Some((buckets, limit)) = self.buckets.iter().zip(RATES).nth(rate as usize) else {
            return Ok(());
        };
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        // More than a burst would never pass.
        let count = count.min(NonZeroU32::new(limit.burst).unwrap_or(count));
        match buckets.check_key_n(user, count) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Drops the buckets that are full again.
    fn sweep(&self) {
        for buckets in &self.buckets {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }
}

fn quota(limit: &RateLimit) -> Quota {
    let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(limit.every)
        .unwrap_or_else(|| Quota::per_second(burst))
        .allow_burst(burst)
}
