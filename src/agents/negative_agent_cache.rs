//! Agents that Letta does not know: remembered for a while, so that whoever makes up ids does not make Letta work.
//!
//! The homeserver asks for users and aliases of ours whenever anybody looks at one, without a login on some. Discovery sees every
//! agent within moments anyway, so it costs nothing to say no for a while, or when too many are asked for.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use letta_client::AgentId;
use tokio::time::Instant;

/// How long it is remembered that Letta does not know an agent.
pub const UNKNOWN_AGE: Duration = Duration::from_mins(1);
/// How long it is remembered that Letta could not be asked for an agent.
pub const UNANSWERED_AGE: Duration = Duration::from_secs(5);
/// The most agents that are remembered.
pub const UNKNOWN_MAX: usize = 10_000;
/// The most agents that Letta is asked for in [`WINDOW`] because the homeserver asks us.
pub const ASKED_MAX: u32 = 60;
/// See [`ASKED_MAX`].
pub const WINDOW: Duration = Duration::from_mins(1);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct NegativeAgentCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when each is taken for unknown.
    until: HashMap<AgentId, Instant>,
    window_began: Option<Instant>,
    asked: u32,
}

impl NegativeAgentCache {
    /// Whether Letta was asked for this agent a moment ago, in vain.
    pub fn holds(&self, id: &AgentId, now: Instant) -> bool {
        self.state().until.get(id).is_some_and(|until| now < *until)
    }

    /// Whether Letta may be asked for one agent more, which counts as asked.
    pub fn take_lookup(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.window_began.is_none_or(|began| now >= began + WINDOW) {
            state.window_began = Some(now);
            state.asked = 0;
        }
        state.asked += 1;
        state.asked <= ASKED_MAX
    }

    /// Letta was asked for this agent in vain; it is not asked again for so long.
    pub fn remember(&self, id: &AgentId, now: Instant, age: Duration) {
        let mut state = self.state();
        if state.until.len() >= UNKNOWN_MAX {
            state.until.retain(|_, until| now < *until);
        }
        if state.until.len() >= UNKNOWN_MAX {
            state.until.clear();
        }
        state.until.insert(id.clone(), now + age);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: usize) -> AgentId {
        AgentId::parse(format!("agent-{number}")).unwrap()
    }

    #[test]
    fn agent_is_unknown_for_its_age_only() {
        let (unknown, now) = (NegativeAgentCache::default(), Instant::now());
        assert!(!unknown.holds(&agent(1), now));
        unknown.remember(&agent(1), now, UNKNOWN_AGE);
        assert!(unknown.holds(&agent(1), now + UNKNOWN_AGE - Duration::from_millis(1)));
        assert!(!unknown.holds(&agent(1), now + UNKNOWN_AGE));
        assert!(!unknown.holds(&agent(2), now));
    }

    #[test]
    fn memory_is_bounded() {
        let (unknown, now) = (NegativeAgentCache::default(), Instant::now());
        for number in 0..=(2 * UNKNOWN_MAX) {
            unknown.remember(&agent(number), now, UNKNOWN_AGE);
            assert!(unknown.holds(&agent(number), now));
        }
        assert!(unknown.state().until.len() <= UNKNOWN_MAX);
    }

    #[test]
    fn letta_is_asked_so_often_in_a_window_and_no_more() {
        let (unknown, now) = (NegativeAgentCache::default(), Instant::now());
        let asked = |at| {
            (0..10 * ASKED_MAX)
                .filter(|_| unknown.take_lookup(at))
                .count()
        };
        assert_eq!(asked(now), ASKED_MAX as usize);
        assert_eq!(asked(now + WINDOW - Duration::from_millis(1)), 0);
        assert_eq!(asked(now + WINDOW), ASKED_MAX as usize);
    }
}
