//! When Letta was seen to be away, and which runs were known before that.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::id::RunId;

/// How long a server is away at least when it is started anew: a V1 server takes a minute.
pub const AWAY_MIN: Duration = Duration::from_secs(10);

/// The most runs whose beginning is remembered.
const RUNS_MAX: usize = 256;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct OutageTracker(Mutex<State>);

#[derive(Debug)]
struct State {
    /// This process knows nothing of what was before.
    started: Instant,
    /// Since when every attempt to reach the server has failed.
    away: Option<Instant>,
    /// The last time that it was away for long: from when, and until when.
    absence: Option<(Instant, Instant)>,
    runs: VecDeque<(RunId, Instant)>,
}

impl Default for OutageTracker {
    fn default() -> Self {
        Self(Mutex::new(State {
            started: Instant::now(),
            away: None,
            absence: None,
            runs: VecDeque::new(),
        }))
    }
}

impl OutageTracker {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server could not be reached, or something answered in its place.
    pub(crate) fn note_unreachable(&self) {
        self.state().away.get_or_insert_with(Instant::now);
    }

    /// The server has answered. What it was away for less than `min` was no restart.
    pub(crate) fn note_reachable(&self, min: Duration) {
        let mut state = self.state();
        if let Some(away) = state.away.take()
            && away.elapsed() >= min
        {
            state.absence = Some((away, Instant::now()));
        }
    }

    /// When the server was back after it was away; `None` if it was not away since `began`.
    pub(crate) fn back_since_outage(&self, began: Instant) -> Option<Instant> {
        let absence = self.state().absence;
        absence
            .filter(|(away, _)| *away >= began)
            .map(|(_, back)| back)
    }

    /// Remembers when a run was first known.
    pub(crate) fn record_run_start(&self, run: &RunId, began: Instant) {
        let mut state = self.state();
        if state.runs.iter().any(|(known, _)| known == run) {
            return;
        }
        if state.runs.len() >= RUNS_MAX {
            state.runs.pop_front();
        }
        state.runs.push_back((run.clone(), began));
    }

    /// When a run was first known; one of which nothing is known is older than this process.
    pub(crate) fn run_started_at(&self, run: &RunId) -> Instant {
        let state = self.state();
        let known = state.runs.iter().find(|(known, _)| known == run);
        known.map_or(state.started, |(_, began)| *began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn only_a_long_absence_after_the_run_began_counts() {
        let outage = OutageTracker::default();
        let run: RunId = "run-1".parse().unwrap();
        outage.record_run_start(&run, Instant::now());
        outage.note_unreachable();
        tokio::time::advance(MIN / 2).await;
        outage.note_reachable(MIN);
        assert_eq!(outage.back_since_outage(outage.run_started_at(&run)), None);
        tokio::time::advance(MIN).await;
        for _ in 0..4 {
            outage.note_unreachable();
            tokio::time::advance(MIN).await;
        }
        outage.note_reachable(MIN);
        assert_eq!(
            outage.back_since_outage(outage.run_started_at(&run)),
            Some(Instant::now())
        );
        let later = Instant::now() + MIN;
        assert_eq!(outage.back_since_outage(later), None);
    }
}
