//! The list of agents, and ids for those that have only a name.
//!
//! A server lists models. Where a model's id is an agent's id it is taken as it is. Where it is a
//! name, the id is made of it: a readable part and a hash of all of it, so that the same name is
//! the same agent for ever and two names are never one. A renamed agent is another one here;
//! nothing else could be known.
//!
//! ```text
//! agent-e54f…  ->  agent-e54f…                        (Hayhooks)
//! Ada          ->  agent-named-ada-2f1d8a…            (App Server)
//! ```

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    backend::Agent,
    error::{BackendError, MissingResource},
    id::AgentId,
    rest::{api::SharedApi, failure::RequestTarget, is_background_name},
};

/// The longest id of a model, in bytes. Longer ones are left out.
pub const MODEL_BYTES_MAX: usize = 512;

/// The most models of a list; past it, the list is an error.
pub const MODELS_MAX: usize = 10_000;

/// What ids begin with that are made of a name. No id that a server gives is taken that begins so.
const NAMED: &str = "agent-named-";

/// How much of a name an id shows, in characters.
const SLUG_CHARS_MAX: usize = 32;

/// One entry, read leniently.
#[derive(Deserialize)]
pub(super) struct Model {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    data: Vec<Model>,
}

/// Under which name each agent is known to the server, as far as they were listed.
#[derive(Debug, Default)]
pub(super) struct Models(RwLock<HashMap<AgentId, String>>);

impl Models {
    /// All agents; remembers their models.
    pub(super) async fn agents(&self, api: &SharedApi) -> Result<Vec<Agent>, BackendError> {
        let mut known = HashMap::new();
        let mut agents = Vec::new();
        for model in list(api).await? {
            let Some((agent, id)) = convert(model) else {
                continue;
            };
            if known.insert(agent.id.clone(), id).is_none() {
                agents.push(agent);
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(agents)
    }

    /// What the server calls this agent.
    pub(super) async fn model(
        &self,
        api: &SharedApi,
        agent: &AgentId,
    ) -> Result<String, BackendError> {
        if !agent.as_str().starts_with(NAMED) {
            return Ok(agent.to_string());
        }
        if self.known(agent).is_none() {
            self.agents(api).await?;
        }
        self.known(agent).ok_or_else(|| BackendError::NotFound {
            missing: MissingResource::Agent,
            what: format!("agent {agent}"),
        })
    }

    fn known(&self, agent: &AgentId) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(agent).cloned()
    }
}

/// What the server lists.
pub(super) async fn list(api: &SharedApi) -> Result<Vec<Model>, BackendError> {
    let answer = api.call(api.get(&["v1", "models"])).await?;
    let listing: Listing = answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Server("models")))?
        .read()?;
    if listing.data.len() > MODELS_MAX {
        let detail = format!("the list of models has more than {MODELS_MAX} entries");
        return Err(BackendError::Protocol { detail });
    }
    Ok(listing.data)
}

/// An entry as an agent, with what the server calls it.
fn convert(model: Model) -> Option<(Agent, String)> {
    let id = model.id.filter(|id| !id.is_empty())?;
    if id.len() > MODEL_BYTES_MAX {
        tracing::warn!("leaving out a model whose id is longer than {MODEL_BYTES_MAX} bytes");
        return None;
    }
    let agent = Agent {
        id: agent_id(&id)?,
        name: model.name.unwrap_or_else(|| id.clone()),
        description: None,
        tags: Vec::new(),
        model: None,
    };
    (!is_background_name(&agent.name)).then_some((agent, id))
}

/// The agent behind a model's id.
fn agent_id(model: &str) -> Option<AgentId> {
    if !model.starts_with(NAMED)
        && let Ok(id) = AgentId::parse(model)
    {
        return Some(id);
    }
    let digest = Sha256::digest(model.as_bytes());
    // Half of it, which is enough that no two names ever meet.
    let digest = u128::from_be_bytes(*digest.first_chunk()?);
    let slug = slug(model);
    let dash = if slug.is_empty() { "" } else { "-" };
    AgentId::parse(format!("{NAMED}{slug}{dash}{digest:032x}")).ok()
}

/// What an id can show of a name: its ASCII letters and digits, other runs as one `-`.
fn slug(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(SLUG_CHARS_MAX).collect();
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(model: &str) -> String {
        agent_id(model).unwrap().to_string()
    }

    #[test]
    fn an_agents_id_stays_and_a_name_becomes_one() {
        let given = "agent-e54fc601-4773-4116-9c5f-0d0f1e3c4a5b";
        assert_eq!(id(given), given);
        insta::assert_snapshot!(id("Ada"), @"agent-named-ada-99a563ab2f6e21e96998f9fddd2a2bab");
        insta::assert_snapshot!(id("Böb, der  Große!"), @"agent-named-b-b-der-gro-e-231083ae11218c386ee2c5ba90276a37");
        insta::assert_snapshot!(id("日本"), @"agent-named-cf2abf0c5be326cb922a70f8163f9107");
    }

    #[test]
    fn a_name_that_looks_like_a_made_id_is_not_taken_for_one() {
        let made = id("Ada");
        assert_ne!(id(&made), made);
    }

    #[test]
    fn helpers_in_the_background_are_left_out() {
        let named = |name: &str| {
            convert(Model {
                id: Some("agent-1".into()),
                name: Some(name.into()),
            })
        };
        assert!(named("Ada").is_some());
        assert!(named("Ada-sleeptime").is_none());
    }

    proptest! {
        #[test]
        fn every_name_is_an_id_and_no_two_names_are_one(a in ".{1,80}", b in ".{1,80}") {
            prop_assert_eq!(id(&a) == id(&b), a == b);
        }
    }
}
