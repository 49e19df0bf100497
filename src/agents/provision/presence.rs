//! Agents are seen as online, where the homeserver keeps presence: they answer at any time.
//!
//! Said once for each agent and start. Some homeservers forget it after a while, because ghosts never sync; that is theirs.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use letta_client::AgentId;
use tracing::debug;

use super::Provisioner;
use crate::journal::AgentStatus;

/// The most agents that are shown as online: each is told to everybody who shares a room with it.
const SHOWN_AGENTS_MAX: usize = 200;

/// Which agents were shown as online since the start.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    agents: BTreeSet<AgentId>,
    /// Whether the homeserver keeps no presence.
    is_refused: bool,
}

impl Shown {
    /// Whether an agent is to be shown, which it is from now on.
    fn take(&self, agent: &AgentId) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !state.is_refused
            && state.agents.len() < SHOWN_AGENTS_MAX
            && state.agents.insert(agent.clone())
    }

    fn refuse(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_refused = true;
    }
}

impl Provisioner {
    /// Shows all agents as online that are set up already.
    pub async fn show_all_online(&self) {
        let ready: Vec<AgentId> = self.registry.with_all(|known| {
            let ready = known
                .values()
                .filter(|record| record.status == AgentStatus::Live && record.joined);
            ready.map(|record| record.id.clone()).collect()
        });
        for agent in ready {
            self.show_online(&agent).await;
        }
    }

    /// Shows an agent as online. That it cannot be shown keeps nothing else from being done.
    pub(super) async fn show_online(&self, agent: &AgentId) {
        if !self.shown.take(agent) {
            return;
        }
        let ghost = self.config.identity.ghost(agent);
        if let Err(error) = self.homeserver.set_online(&ghost).await {
            debug!(agent.id = %agent, %error, "could not show an agent as online; none is tried any more");
            self.shown.refuse();
        }
    }
}
