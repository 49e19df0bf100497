//! How often one user may write: a bucket of tokens for each user and kind of request, see [`RATES`].
//!
//! A request is counted before its body is read. Which bucket it is counted against is read off its method and path, once, when the
//! routes are made. Whoever is exempt is not counted: application services as their registration says, their senders, and admins.
//! Buckets that are full again are dropped, so memory does not grow with everybody who ever wrote.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

#[cfg(not(test))]
use std::time::Instant;
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use governor::{Quota, RateLimiter, clock::Clock, state::keyed::HashMapStateStore};
use http::{Method, request::Parts};
use ruma::OwnedUserId;

use crate::{
    admin,
    caller::Caller,
    error::{Error, Result},
    limits::{RATES, Rate, RateLimit},
    server::Server,
};

/// After how many counted requests the buckets that are full again are dropped.
const SWEEP_EVERY: u64 = 4_096;

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
    fn take(&self, user: &OwnedUserId, rate: Rate, count: NonZeroU32) -> Result<(), Duration> {
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

/// Counts `count` of something against what the caller may do.
///
/// # Errors
///
/// 429 `M_LIMIT_EXCEEDED`, with the time after which the request is worth another attempt.
pub fn count(server: &Server, caller: &Caller, rate: Rate, count: usize) -> Result<()> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let Some(count) = NonZeroU32::new(count) else {
        return Ok(());
    };
    if !caller.is_rate_limited() || is_sender(server, caller) {
        return Ok(());
    }
    let Err(wait) = server.rate_limits.take(&caller.user_id, rate, count) else {
        return Ok(());
    };
    // Looked up only where it matters.
    if admin::is_admin(server, &caller.user_id)? {
        return Ok(());
    }
    Err(Error::limit_exceeded(
        wait,
        "You do this faster than this server allows: wait as long as retry_after_ms says",
    ))
}

/// What requests to an endpoint count as; goes with each request from its route to where its caller is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedAs(pub(super) Option<Rate>);

/// Counts a request, now that it is known who calls.
///
/// # Errors
///
/// As [`count`].
pub(super) fn enforce(server: &Server, parts: &Parts, caller: Option<&Caller>) -> Result<()> {
    let counted = parts.extensions.get::<CountedAs>();
    match (counted, caller) {
        (Some(CountedAs(Some(rate))), Some(caller)) => count(server, caller, *rate, 1),
        _ => Ok(()),
    }
}

/// Whether an application service acts as its own user, whom the specification never limits.
fn is_sender(server: &Server, caller: &Caller) -> bool {
    caller.appservice.as_ref().is_some_and(|appservice| {
        let sender = appservice.sender(&server.config.server_name);
        sender.is_ok_and(|sender| sender == caller.user_id)
    })
}

/// What requests to this endpoint count as; nothing if they are not counted.
pub(super) fn rate_of(method: &Method, path: &str) -> Option<Rate> {
    // `/_matrix/client/v3/…`: what stands behind the version.
    let segments: Vec<&str> = path.split('/').skip(4).collect();
    if *method == Method::GET {
        return (segments.last() == Some(&"preview_url")).then_some(Rate::Searches);
    }
    Some(match segments[..] {
        // Logging out is always possible, reading is not counted, wrong passwords have a limit of their own, and reserving places for
        // files has a pace in the configuration.
        [
            "login" | "logout" | "register" | "refresh" | "account" | "sync",
            ..,
        ]
        | [.., "sync" | "query" | "ping"]
        | ["create"] => return None,
        [
            "rooms",
            _,
            "send" | "redact" | "state" | "leave" | "kick" | "ban" | "unban",
            ..,
        ]
        | ["org.matrix.msc4140", ..] => Rate::Messages,
        ["join" | "knock", _] | ["rooms", _, "join" | "knock"] => Rate::Joins,
        ["createRoom"] | ["rooms", _, "upgrade"] => Rate::Rooms,
        ["rooms", _, "invite"] => Rate::Invites,
        ["upload", ..] => Rate::Uploads,
        ["profile", ..] => Rate::Profiles,
        ["rooms", _, "receipt" | "read_markers" | "typing", ..] | ["presence", ..] => {
            Rate::Ephemeral
        }
        [
            "keys" | "room_keys" | "sendToDevice" | "dehydrated_device" | "org.matrix.msc3814.v1",
            ..,
        ] => Rate::Keys,
        ["search" | "publicRooms", ..] | ["user_directory", "search"] => Rate::Searches,
        ["rooms" | "users", _, "report", ..] | ["user", _, "openid", ..] => Rate::Reports,
        _ => Rate::Settings,
    })
}

#[cfg(test)]
mod tests;
