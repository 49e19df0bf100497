//! Permits: a bounded number of things at once, of which no holder has more than a share.
//!
//! Whoever wants much waits for its own share first and for the common pool then. So a holder that asks for a thousand things
//! queues up behind itself, and the next one finds the rest of the pool free.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{Error, Result},
    holder::Holder,
};

/// How many holders are remembered before those are forgotten that hold nothing.
const SWEEP_FROM: usize = 256;

/// How many permits one holder can have, in parts of all.
#[derive(Clone, Copy, Debug)]
pub struct HolderLimits {
    /// Of a user, an address or a follower.
    pub user: usize,
    /// Of an application service, which acts for many.
    pub appservice: usize,
}

/// A pool of permits.
#[derive(Debug)]
pub struct Permits {
    all: Arc<Semaphore>,
    share: HolderLimits,
    shares: Mutex<Shares>,
    /// How many wait for permits at this moment.
    #[cfg(test)]
    waiting: Arc<std::sync::atomic::AtomicUsize>,
}

#[derive(Debug)]
struct Shares {
    /// The share of each holder, as long as somebody holds or waits for a part of it.
    of: HashMap<Holder, Weak<Semaphore>>,
    sweep_at: usize,
}

/// Permits that are held until this is dropped.
#[derive(Debug)]
pub struct Permit {
    _share: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Permits {
    /// A pool of this many.
    pub fn new(total: usize, share: HolderLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(total)),
            share,
            shares: Mutex::new(Shares {
                of: HashMap::new(),
                sweep_at: SWEEP_FROM,
            }),
            #[cfg(test)]
            waiting: Arc::default(),
        }
    }

    /// Waits for this many permits. More than the share of the holder are taken as all of it. Dropping the future leaves the queue.
    ///
    /// # Errors
    ///
    /// Only if the pool was closed, which it never is.
    pub async fn acquire(&self, holder: &Holder, number: usize) -> Result<Permit> {
        let largest = match holder {
            Holder::Appservice(_) => self.share.appservice,
            Holder::Address(_) | Holder::User(_) | Holder::Follower(_) => self.share.user,
        };
        let number = u32::try_from(number.min(largest)).unwrap_or(u32::MAX);
        let closed = |_| Error::Broken("a pool of permits was closed".to_owned());
        #[cfg(test)]
        let _waiting = crate::testing::Counted::new(&self.waiting);
        let share = self.share_of(holder, largest);
        let share = share.acquire_many_owned(number).await.map_err(closed)?;
        let all = self.all.clone().acquire_many_owned(number);
        Ok(Permit {
            _share: share,
            _all: all.await.map_err(closed)?,
        })
    }

    /// How many permits nobody holds.
    #[cfg(test)]
    pub fn available(&self) -> usize {
        self.all.available_permits()
    }

    fn share_of(&self, holder: &Holder, largest: usize) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.of.get(holder).and_then(Weak::upgrade) {
            return share;
        }
        if shares.of.len() >= shares.sweep_at {
            shares.of.retain(|_, share| share.strong_count() > 0);
            // Twice as many as are in use: the cost of sweeping stays in proportion to that of inserting.
            shares.sweep_at = SWEEP_FROM.max(2 * shares.of.len());
        }
        let share = Arc::new(Semaphore::new(largest));
        shares.of.insert(holder.clone(), Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
impl Permits {
    /// How many wait for permits at this moment.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SHARE: HolderLimits = HolderLimits {
        user: 2,
        appservice: 4,
    };

    fn address(text: &str) -> Holder {
        Holder::Address(Some(text.parse().unwrap()))
    }

    #[tokio::test]
    async fn greedy_holder_waits_behind_itself_only() {
        let permits = Permits::new(4, SHARE);
        let (greedy, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held = permits.acquire(&greedy, 2).await.unwrap();
        let waiting: Vec<_> = (0..100)
            .map(|_| Box::pin(permits.acquire(&greedy, 1)))
            .map(|mut wait| (wait.as_mut().now_or_never().is_none(), wait))
            .collect();
        assert!(waiting.iter().all(|(waits, _)| *waits));
        let others = permits.acquire(&other, 2).now_or_never();
        assert!(others.is_some(), "the other one has a share of its own");
        drop((waiting, held));
        assert!(permits.acquire(&greedy, 2).now_or_never().is_some());
    }

    #[tokio::test]
    async fn permits_come_back_when_dropped_or_abandoned() {
        let permits = Permits::new(3, SHARE);
        let one = permits.acquire(&address("192.0.2.1"), 1).await.unwrap();
        let two = permits.acquire(&address("192.0.2.2"), 2).await.unwrap();
        let third = address("192.0.2.3");
        assert!(permits.acquire(&third, 9).now_or_never().is_none());
        assert_eq!(permits.available(), 0);
        drop((one, two));
        assert_eq!(permits.available(), 3);
        assert!(permits.acquire(&third, 9).now_or_never().is_some());
    }

    #[tokio::test]
    async fn holders_of_nothing_are_forgotten() {
        let permits = Permits::new(4, SHARE);
        for number in 0..10_000_u32 {
            let holder = Holder::Address(Some(std::net::Ipv4Addr::from_bits(number).into()));
            drop(permits.acquire(&holder, 1).await.unwrap());
        }
        let remembered = permits.shares.lock().unwrap().of.len();
        assert!(remembered <= SWEEP_FROM, "{remembered} are remembered");
    }
}
