//! Agents in Matrix: discovered in Letta, given a ghost, a room and a place in the space.
//!
//! ```text
//! discovery ── list ──> plan (pure: what differs) ──> provision (one step at a time, written down)
//! ```
//!
//! [`plan`] makes no call and reads no clock; [`provision`] decides nothing.

pub mod discovery;
pub mod generated_avatars;
pub mod lookalikes;
pub mod name_conflicts;
pub mod negative_agent_cache;
pub mod plan;
pub mod provision;
pub mod registry;
pub mod room_changes;

use std::sync::Arc;

use async_trait::async_trait;
use letta_client::{Agent, AgentId, Backend, BackendError};
use ruma::{OwnedUserId, RoomId};
use tokio::time::Instant;
use tracing::{debug, warn};

use self::{
    discovery::DiscoveryTrigger,
    negative_agent_cache::{NegativeAgentCache, UNANSWERED_AGE, UNKNOWN_AGE},
    plan::diff_agents,
    provision::Provisioner,
};
use crate::{appservice::Provision, config, time::Millis};

/// The agents, for everybody who asks for one by name. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    /// The records, and the means to change them.
    pub provisioner: Arc<Provisioner>,
    /// Letta.
    pub backend: Arc<dyn Backend>,
    /// Which agents come to Matrix at all.
    pub letta: config::Letta,
    /// Discovery's ear.
    pub discovery_trigger: DiscoveryTrigger,
    /// Agents that Letta does not know.
    pub unknown: Arc<NegativeAgentCache>,
}

impl Agents {
    /// Whether Letta knows an agent that shall come to Matrix. Letta is asked if the bridge does not know it, unless it was asked
    /// in vain a moment ago. An agent that Letta does not know leaves nothing behind but that.
    ///
    /// # Errors
    ///
    /// If Letta cannot be asked.
    pub async fn is_known(&self, id: &AgentId) -> Result<bool, BackendError> {
        if self.provisioner.registry.find(id).is_some() {
            return Ok(true);
        }
        if self.unknown.holds(id, Instant::now()) {
            return Ok(false);
        }
        match self.backend.agent(id).await {
            Ok(Some(agent)) if self.letta.selects(&agent) => Ok(self.remember(agent)),
            Ok(_) => {
                self.unknown.remember(id, Instant::now(), UNKNOWN_AGE);
                Ok(false)
            }
            Err(failure) => {
                self.unknown.remember(id, Instant::now(), UNANSWERED_AGE);
                Err(failure)
            }
        }
    }

    /// The same for the homeserver, which asks for whatever anybody looks at: within a budget, and a Letta that cannot be asked
    /// knows nobody.
    async fn is_known_within_budget(&self, id: &AgentId) -> bool {
        let now = Instant::now();
        let is_free = self.provisioner.registry.find(id).is_some() || self.unknown.holds(id, now);
        if !is_free && !self.unknown.take_lookup(now) {
            debug!(agent.id = %id, "too many lookups of unknown agents; not asking Letta");
            return false;
        }
        match self.is_known(id).await {
            Ok(known) => known,
            Err(failure) => {
                warn!(agent.id = %id, error = &failure as &dyn std::error::Error, "could not fetch an agent");
                false
            }
        }
    }

    fn remember(&self, agent: Agent) -> bool {
        let registry = &self.provisioner.registry;
        let grace = std::time::Duration::MAX;
        let nobody = std::collections::BTreeMap::new();
        let found = diff_agents(&nobody, &[agent], Millis::now(), grace, false).changed;
        // Discovery may have found and set it up while Letta was asked.
        found.into_iter().all(|record| registry.add(record).is_ok())
    }
}

#[async_trait]
impl Provision for Agents {
    async fn ensure_ghost(&self, agent: &AgentId) -> bool {
        self.is_known_within_budget(agent).await
            && logged_ok(agent, self.provisioner.ensure_ghost(agent).await)
    }

    async fn ensure_room(&self, agent: &AgentId) -> bool {
        self.is_known_within_budget(agent).await
            && logged_ok(agent, self.provisioner.provision(agent).await)
            && self
                .provisioner
                .registry
                .find(agent)
                .is_some_and(|record| record.room.is_some())
    }

    fn member_changed(&self, user: OwnedUserId, name: Option<String>) {
        self.provisioner.namesakes.member_changed(user, name);
    }

    fn room_changed(&self, room: &RoomId) {
        // Whoever changes other rooms makes no work here.
        if self.provisioner.is_room_of_ours(room) {
            self.provisioner.room_changes.note(room);
        }
    }

    fn look_now(&self) {
        self.discovery_trigger.look.notify_one();
    }
}

fn logged_ok(agent: &AgentId, result: Result<(), provision::ProvisionError>) -> bool {
    match result {
        Ok(()) => true,
        Err(failure) => {
            warn!(agent.id = %agent, error = &failure as &dyn std::error::Error, "cannot set up an agent");
            false
        }
    }
}
