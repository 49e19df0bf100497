//! How often an agent may act.

use std::num::NonZeroU32;

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use letta_client::AgentId;

use super::ToolError;

/// The most agents of which it is remembered how often they acted; then those are forgotten that have their whole budget again.
const AGENTS_MAX: usize = 10_000;

/// See the module's documentation.
pub(super) struct AgentRateLimit {
    limiter: DefaultKeyedRateLimiter<AgentId>,
    clock: DefaultClock,
}

impl AgentRateLimit {
    pub(super) fn per_minute(actions: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(actions)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one action.
    pub(super) fn take(&self, agent: &AgentId) -> Result<(), ToolError> {
        if self.limiter.len() > AGENTS_MAX {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(agent)
            .map_err(|until| ToolError::RateLimited {
                wait: until.wait_time_from(self.clock.now()),
            })
    }
}
