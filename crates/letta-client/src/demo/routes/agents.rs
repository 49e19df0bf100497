//! Listing and reading agents, with V1's habits that bite: relations only on request, unknown
//! cursors ignored.

use std::time::SystemTime;

use axum::{
    Json,
    extract::{Path, Query, RawQuery, State},
};
use serde::{Deserialize, Serialize};

use super::{Failure, known_agent};
use crate::demo::{
    Demo,
    frames::Message,
    world::{AgentEntry, ThreadKey},
};

/// The page size if none is asked for.
const LIMIT_DEFAULT: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
    order: Option<String>,
    name: Option<String>,
}

/// An agent as V1 shows it, without its prompt and its memory.
#[derive(Debug, Serialize)]
pub(super) struct AgentJson {
    created_at: String,
    updated_at: String,
    id: String,
    name: String,
    tool_rules: [(); 0],
    message_ids: [(); 0],
    system: &'static str,
    agent_type: &'static str,
    model: Option<String>,
    description: Option<String>,
    tags: Vec<String>,
    blocks: [(); 0],
    tools: [(); 0],
    hidden: Option<bool>,
    timezone: &'static str,
    /// The request that waits in the default conversation, complete; asked for by name.
    pending_approval: Option<Message>,
}

impl AgentJson {
    /// `query` is the raw query string: `include` may stand in it many times.
    fn new(entry: &AgentEntry, query: Option<&str>) -> Self {
        let agent = &entry.agent;
        let tags = query.is_some_and(|query| query.contains("include=agent.tags"));
        Self {
            created_at: time(entry.created),
            updated_at: time(entry.updated),
            id: agent.id.to_string(),
            name: agent.name.clone(),
            tool_rules: [],
            message_ids: [],
            system: "You are a scripted demo agent.",
            agent_type: "letta_v1_agent",
            model: agent.model.clone(),
            description: agent.description.clone(),
            tags: if tags { agent.tags.clone() } else { Vec::new() },
            blocks: [],
            tools: [],
            hidden: None,
            timezone: "UTC",
            pending_approval: None,
        }
    }
}

/// Agents and runs have microseconds and `Z`, unlike messages.
pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

pub(super) async fn list(
    State(demo): State<Demo>,
    Query(listing): Query<Listing>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Vec<AgentJson>>, Failure> {
    let faults = demo.faults();
    tokio::time::sleep(faults.listing_delay()).await;
    let later = listing.after.is_some();
    if let Some(status) = faults.listing_status
        && (later || !faults.listing_fails_later)
    {
        return Err(Failure::commanded(status));
    }
    let world = demo.shared.world();
    let mut agents: Vec<&AgentEntry> = world.agents.iter().collect();
    if listing.order.as_deref() != Some("asc") {
        agents.reverse();
    }
    if let Some(name) = &listing.name {
        agents.retain(|entry| entry.agent.name == *name);
    }
    let position = |id: &Option<String>| {
        let id = id.as_deref()?;
        agents
            .iter()
            .position(|entry| entry.agent.id.as_str() == id)
    };
    // A cursor that is unknown, or not obeyed, gives the first page again.
    let start = position(&listing.after).filter(|_| !faults.repeat_pages);
    let start = start.map_or(0, |at| at + 1);
    let end = position(&listing.before).unwrap_or(agents.len()).max(start);
    let limit = match listing.limit {
        None => LIMIT_DEFAULT,
        Some(0) => usize::MAX,
        Some(limit) => limit,
    };
    let include = raw.as_deref();
    let page = agents[start..end].iter().take(limit);
    Ok(Json(
        page.map(|entry| AgentJson::new(entry, include)).collect(),
    ))
}

pub(super) async fn count(State(demo): State<Demo>) -> Json<usize> {
    Json(demo.shared.world().agents.len())
}

pub(super) async fn get(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<AgentJson>, Failure> {
    known_agent(&demo, &id)?;
    let mut world = demo.shared.world();
    let entry = world
        .agent(&id)
        .ok_or_else(|| Failure::not_found("Agent", &id))?;
    let mut shown = AgentJson::new(entry, raw.as_deref());
    if raw.is_some_and(|query| query.contains("include=agent.pending_approval")) {
        let default = ThreadKey {
            agent: id,
            conversation: None,
        };
        shown.pending_approval = world.thread(&default).waiting_request();
    }
    Ok(Json(shown))
}
