//! Who else is here.

use serde_json::{Value, json};

use super::{Caller, ToolContext, ToolError, arguments::ListAgents};

/// The most agents that are listed.
const AGENTS_MAX: usize = 200;

pub(super) async fn list(
    ctx: &ToolContext,
    _: &Caller,
    given: ListAgents,
) -> Result<Value, ToolError> {
    let wanted = given.filter.unwrap_or_default().trim().to_lowercase();
    let mut agents = ctx.agents.registry.live();
    agents.retain(|agent| agent.name.to_lowercase().contains(&wanted));
    let total = agents.len();
    let shown: Vec<Value> = agents
        .into_iter()
        .take(AGENTS_MAX)
        .map(|agent| {
            json!({
                "agent_id": agent.id, "name": agent.name, "description": agent.description,
                "user_id": ctx.identity.ghost(&agent.id),
            })
        })
        .collect();
    Ok(json!({ "agents": shown, "total": total }))
}
