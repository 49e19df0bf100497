//! Log lines that strangers can cause as often as they like: the first about somebody is written, then at intervals one that says how
//! many there were meanwhile. However many there are whom it is about, the lines of one interval have a largest number.
//!
//! The log is what an admin reads when something happens, and a disk that it fills stops everything.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::limits::{LOG_REPEAT_INTERVAL, LOG_REPEAT_LINES_MAX};

/// What was said about whom.
#[derive(Debug)]
pub struct LogThrottle<K> {
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    about: HashMap<K, Repeats>,
    /// All of whom nothing is remembered, as if they were one.
    others: Option<Repeats>,
}

#[derive(Debug)]
struct Repeats {
    last_logged: Instant,
    suppressed: u64,
}

impl Repeats {
    fn new(last_logged: Instant) -> Self {
        Self {
            last_logged,
            suppressed: 0,
        }
    }

    fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_logged) >= LOG_REPEAT_INTERVAL
    }

    /// Whether a line is to be written again, and how many were left out before it.
    fn again(&mut self, now: Instant) -> Option<u64> {
        if self.has_ended(now) {
            let suppressed = self.suppressed;
            *self = Self::new(now);
            return Some(suppressed);
        }
        self.suppressed += 1;
        None
    }
}

impl<K> Default for LogThrottle<K> {
    fn default() -> Self {
        let state = State {
            about: HashMap::new(),
            others: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl<K: Eq + Hash> LogThrottle<K> {
    /// It happened once more. If a line is to be written, says how many were left out since the last one.
    pub fn record_occurrence(&self, about: K, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repeats) = state.about.get_mut(&about) {
            return repeats.again(now);
        }
        if state.about.len() >= LOG_REPEAT_LINES_MAX {
            state.forget(now);
        }
        if state.about.len() < LOG_REPEAT_LINES_MAX {
            state.about.insert(about, Repeats::new(now));
            return Some(0);
        }
        if let Some(others) = &mut state.others {
            return others.again(now);
        }
        state.others = Some(Repeats::new(now));
        Some(0)
    }
}

impl<K> State<K> {
    /// Forgets those about whom nothing was said for long. What was left out of them is said with the next line about others.
    fn forget(&mut self, now: Instant) {
        let mut suppressed = 0;
        self.about.retain(|_, repeats| {
            let has_ended = repeats.has_ended(now);
            suppressed += if has_ended { repeats.suppressed } else { 0 };
            !has_ended
        });
        if let Some(others) = &mut self.others {
            others.suppressed += suppressed;
        } else if suppressed > 0 {
            self.others = Some(Repeats {
                last_logged: now,
                suppressed,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn first_is_said_then_a_count_at_intervals() {
        let (repeats, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(repeats.record_occurrence("a", start), Some(0));
        for second in 0..599 {
            let now = start + Duration::from_secs(second);
            assert_eq!(repeats.record_occurrence("a", now), None, "{second}");
        }
        assert_eq!(
            repeats.record_occurrence("b", start),
            Some(0),
            "somebody else"
        );
        let now = start + LOG_REPEAT_INTERVAL;
        assert_eq!(repeats.record_occurrence("a", now), Some(599));
        assert_eq!(repeats.record_occurrence("a", now), None);
        assert_eq!(
            repeats.record_occurrence("a", now + LOG_REPEAT_INTERVAL),
            Some(1)
        );
    }

    #[test]
    fn lines_of_one_interval_have_a_largest_number() {
        let (repeats, start) = (LogThrottle::default(), Instant::now());
        let (mut lines, mut counted) = (0, 0);
        let of_each = 40 * LOG_REPEAT_LINES_MAX;
        for interval in 0..3 {
            let now = start + LOG_REPEAT_INTERVAL * interval;
            for about in 0..of_each {
                if let Some(suppressed) = repeats.record_occurrence(about, now) {
                    lines += 1;
                    counted += suppressed + 1;
                }
            }
        }
        assert!(lines <= 3 * (LOG_REPEAT_LINES_MAX + 1), "{lines} lines");
        let all = 3 * of_each as u64;
        assert!(counted > all / 2, "{counted} of {all} are said or counted");
    }
}
