//! A least rate: so many bytes have to move for so much waiting.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::RATE_MIN;

/// Counts what moves and how long is waited for it. Only waiting counts: whoever is slow on our side costs the peer nothing.
#[derive(Debug)]
pub(super) struct MinRate {
    timeout: Duration,
    /// So many bytes buy the whole timeout again.
    quota: u64,
    moved: u64,
    waited: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl MinRate {
    pub(super) fn new(timeout: Duration) -> Self {
        let quota = timeout.as_millis() * u128::from(RATE_MIN) / 1_000;
        Self {
            timeout,
            quota: u64::try_from(quota).unwrap_or(u64::MAX).max(1),
            moved: 0,
            waited: Duration::ZERO,
            since: None,
            sleep: None,
        }
    }

    /// So many bytes moved.
    pub(super) fn record_transferred(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.moved = self
            .moved
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.moved >= self.quota {
            (self.moved, self.waited) = (0, Duration::ZERO);
        }
    }

    /// The peer has done all that it has to.
    pub(super) fn done(&mut self) {
        (self.moved, self.waited, self.since) = (0, Duration::ZERO, None);
    }

    /// Nothing moves: ready once the peer has kept us waiting for too long, otherwise the task is woken then.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let at = since + self.timeout.saturating_sub(self.waited);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Moves so many bytes each second. Gives after how many seconds that was too slow.
    async fn overdue_after(bytes_each_second: usize, seconds: u64) -> Option<u64> {
        let (mut min_rate, began) = (MinRate::new(TIMEOUT), Instant::now());
        for second in 1..=seconds {
            let next = began + Duration::from_secs(second);
            let overdue = poll_fn(|cx| min_rate.poll_overdue(cx));
            tokio::select! {
                biased;
                () = sleep_until(next) => min_rate.record_transferred(bytes_each_second),
                () = overdue => return Some(began.elapsed().as_secs()),
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn least_rate_is_enough_for_ever_and_less_is_not() {
        let least = usize::try_from(RATE_MIN).unwrap();
        assert_eq!(overdue_after(least + 1, 1_000).await, None);
        assert_eq!(overdue_after(1 << 20, 1_000).await, None);
        for trickle in [0, 1, least / 2] {
            assert_eq!(overdue_after(trickle, 1_000).await, Some(10), "{trickle}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_costs_nothing() {
        let mut min_rate = MinRate::new(TIMEOUT);
        for _ in 0..100 {
            min_rate.record_transferred(1);
            tokio::time::sleep(TIMEOUT).await;
        }
        let overdue = poll_fn(|cx| min_rate.poll_overdue(cx));
        let short = tokio::time::timeout(TIMEOUT / 2, overdue).await;
        assert!(short.is_err(), "the whole timeout is left");
    }
}
