//! Conversations, and the history of every thread.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};

use super::{Failure, agents::time, known_agent, parse_body, shaped};
use crate::demo::{
    Demo,
    frames::Message,
    world::{ConversationMetadata, ThreadKey},
};

/// The page size of a history if none is asked for.
const HISTORY_LIMIT_DEFAULT: usize = 100;

/// The page size of the list if none is asked for.
const LIST_LIMIT_DEFAULT: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct ConversationJson {
    created_at: String,
    updated_at: String,
    id: String,
    agent_id: String,
    summary: Option<String>,
    in_context_message_ids: [(); 0],
    isolated_block_ids: [(); 0],
    model: Option<String>,
    last_message_at: Option<String>,
}

impl From<&ConversationMetadata> for ConversationJson {
    fn from(entry: &ConversationMetadata) -> Self {
        Self {
            created_at: time(entry.created),
            updated_at: time(entry.created),
            id: entry.id.clone(),
            agent_id: entry.agent.clone(),
            summary: entry.summary.clone(),
            in_context_message_ids: [],
            isolated_block_ids: [],
            model: None,
            last_message_at: None,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct AgentQuery {
    pub(super) agent_id: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(demo): State<Demo>,
    Query(query): Query<AgentQuery>,
) -> Json<Vec<ConversationJson>> {
    let world = demo.shared.world();
    let of_agent = |entry: &&ConversationMetadata| {
        query
            .agent_id
            .as_ref()
            .is_none_or(|agent| *agent == entry.agent)
    };
    let limit = query.limit.unwrap_or(LIST_LIMIT_DEFAULT);
    Json(
        world
            .conversations
            .iter()
            .rev()
            .filter(of_agent)
            .take(limit)
            .map(Into::into)
            .collect(),
    )
}

#[derive(Debug, Deserialize)]
struct Creation {
    summary: Option<String>,
}

pub(super) async fn create(
    State(demo): State<Demo>,
    Query(query): Query<AgentQuery>,
    body: bytes::Bytes,
) -> Result<Json<ConversationJson>, Failure> {
    let Some(agent) = query.agent_id else {
        return Err(Failure::unprocessable(
            "'query', 'agent_id'",
            "Field required",
        ));
    };
    known_agent(&demo, &agent)?;
    let creation: Creation = parse_body(&body)?;
    let entry = demo
        .shared
        .world()
        .add_conversation(&agent, creation.summary);
    Ok(Json((&entry).into()))
}

pub(super) async fn get(
    State(demo): State<Demo>,
    Path(id): Path<String>,
) -> Result<Json<ConversationJson>, Failure> {
    shaped(&id, "conv-")?;
    let world = demo.shared.world();
    let entry = world
        .conversation(&id)
        .ok_or_else(|| Failure::not_found("Conversation", &id))?;
    Ok(Json(entry.into()))
}

/// The thread behind a conversation id of a path; `default` needs the agent beside it.
pub(super) fn thread_key(
    demo: &Demo,
    conversation: &str,
    agent: Option<&str>,
) -> Result<ThreadKey, Failure> {
    if conversation == "default" {
        // Without the agent V1 looks for a conversation of this name.
        let agent = agent.ok_or_else(|| Failure::not_found("Conversation", conversation))?;
        known_agent(demo, agent)?;
        return Ok(ThreadKey {
            agent: agent.to_owned(),
            conversation: None,
        });
    }
    shaped(conversation, "conv-")?;
    let world = demo.shared.world();
    let entry = world
        .conversation(conversation)
        .ok_or_else(|| Failure::not_found("Conversation", conversation))?;
    Ok(ThreadKey {
        agent: entry.agent.clone(),
        conversation: Some(entry.id.clone()),
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryQuery {
    agent_id: Option<String>,
    limit: Option<usize>,
    order: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

pub(super) async fn agent_history(
    State(demo): State<Demo>,
    Path(agent): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Vec<Message>>, Failure> {
    known_agent(&demo, &agent)?;
    Ok(Json(page(
        &demo,
        &ThreadKey {
            agent,
            conversation: None,
        },
        &query,
    )))
}

pub(super) async fn history(
    State(demo): State<Demo>,
    Path(conversation): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Vec<Message>>, Failure> {
    let key = thread_key(&demo, &conversation, query.agent_id.as_deref())?;
    Ok(Json(page(&demo, &key, &query)))
}

/// `limit` counts stored messages: entries that share an id are one. Whatever the order, the array
/// is oldest first; `desc` only picks the newest.
fn page(demo: &Demo, key: &ThreadKey, query: &HistoryQuery) -> Vec<Message> {
    let mut world = demo.shared.world();
    let messages = &world.thread(key).messages;
    let mut groups: Vec<Vec<&Message>> = Vec::new();
    for message in messages {
        match groups.last_mut() {
            Some(group) if group[0].id == message.id => group.push(message),
            _ => groups.push(vec![message]),
        }
    }
    let position = |id: &Option<String>| {
        let id = id.as_deref()?;
        groups.iter().position(|group| group[0].id == id)
    };
    let start = position(&query.after).map_or(0, |at| at + 1);
    let end = position(&query.before).unwrap_or(groups.len()).max(start);
    let groups = &groups[start..end];
    let limit = query
        .limit
        .unwrap_or(HISTORY_LIMIT_DEFAULT)
        .min(groups.len());
    let groups = match query.order.as_deref() {
        Some("asc") => &groups[..limit],
        _ => &groups[groups.len() - limit..],
    };
    groups
        .iter()
        .flatten()
        .map(|message| (*message).clone())
        .collect()
}
