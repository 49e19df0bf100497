//! Agents in Matrix: discovered in Letta, given a ghost, a room and a place in the space.
//!
//! ```text
//! discovery ── list ──> plan (pure: what differs) ──> provision (one step at a time, written down)
//! ```
//!
//! [`plan`] makes no call and reads no clock; [`provision`] decides nothing.

pub mod discovery;
pub mod plan;
pub mod provision;
pub mod registry;

use std::sync::Arc;

use async_trait::async_trait;
use letta_client::{Agent, AgentId, Backend};
use tracing::warn;

use self::{discovery::Nudges, plan::compare, provision::Provisioner};
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
    pub nudges: Nudges,
}

impl Agents {
    /// Makes sure that an agent is known, asking Letta if it is not. `false`: Letta does not know
    /// it either, it is excluded, or Letta cannot be asked.
    pub async fn ensure_known(&self, id: &AgentId) -> bool {
        if self.provisioner.registry.find(id).is_some() {
            return true;
        }
        match self.backend.agent(id).await {
            Ok(Some(agent)) if self.letta.selects(&agent) => self.remember(agent),
            Ok(_) => false,
            Err(failure) => {
                warn!(agent.id = %id, error = &failure as &dyn std::error::Error, "cannot ask for an agent");
                false
            }
        }
    }

    fn remember(&self, agent: Agent) -> bool {
        let registry = &self.provisioner.registry;
        let grace = std::time::Duration::MAX;
        let nobody = std::collections::BTreeMap::new();
        let found = compare(&nobody, &[agent], Millis::now(), grace, false).changed;
        found.into_iter().all(|record| registry.set(record).is_ok())
    }
}

#[async_trait]
impl Provision for Agents {
    async fn ensure_ghost(&self, agent: &AgentId) -> bool {
        self.ensure_known(agent).await && told(agent, self.provisioner.ensure_ghost(agent).await)
    }

    async fn ensure_room(&self, agent: &AgentId) -> bool {
        self.ensure_known(agent).await
            && told(agent, self.provisioner.bring_up(agent).await)
            && self
                .provisioner
                .registry
                .find(agent)
                .is_some_and(|record| record.room.is_some())
    }

    fn look_now(&self) {
        self.nudges.look.notify_one();
    }
}

fn told(agent: &AgentId, result: Result<(), provision::ProvisionError>) -> bool {
    match result {
        Ok(()) => true,
        Err(failure) => {
            warn!(agent.id = %agent, error = &failure as &dyn std::error::Error, "cannot set up an agent");
            false
        }
    }
}
