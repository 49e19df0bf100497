//! Runs: how they stand, streaming them again, cancelling them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    Failure,
    conversations::{AgentQuery, thread_key},
    event_stream, known_agent, parse_body, shaped,
};
use crate::demo::{
    Demo,
    frames::Message,
    routes::agents::time,
    run::{Reading, Run},
    world::ThreadKey,
};

/// The page size of the list.
const LIST_LIMIT: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct RunJson {
    id: String,
    status: &'static str,
    created_at: String,
    agent_id: String,
    conversation_id: Option<String>,
    background: bool,
    stop_reason: Option<&'static str>,
}

impl From<&Arc<Run>> for RunJson {
    fn from(run: &Arc<Run>) -> Self {
        Self {
            id: run.id.clone(),
            status: run.status(),
            created_at: time(run.created),
            agent_id: run.thread.agent.clone(),
            conversation_id: run.thread.conversation.clone(),
            background: run.background,
            stop_reason: run.stop_reason(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    agent_id: Option<String>,
    conversation_id: Option<String>,
    active: Option<bool>,
}

pub(super) async fn list(
    State(demo): State<Demo>,
    Query(listing): Query<Listing>,
) -> Json<Vec<RunJson>> {
    let world = demo.shared.world();
    let wanted = |run: &&Arc<Run>| {
        listing
            .agent_id
            .as_ref()
            .is_none_or(|id| *id == run.thread.agent)
            && (listing.conversation_id.is_none()
                || listing.conversation_id == run.thread.conversation)
            && (listing.active != Some(true) || run.stop_reason().is_none())
    };
    Json(
        world
            .runs()
            .filter(wanted)
            .take(LIST_LIMIT)
            .map(Into::into)
            .collect(),
    )
}

fn known_run(demo: &Demo, id: &str) -> Result<Arc<Run>, Failure> {
    shaped(id, "run-")?;
    demo.shared
        .world()
        .run(id)
        .ok_or_else(|| Failure::not_found("Run", id))
}

pub(super) async fn get(
    State(demo): State<Demo>,
    Path(id): Path<String>,
) -> Result<Json<RunJson>, Failure> {
    Ok(Json((&known_run(&demo, &id)?).into()))
}

pub(super) async fn messages(
    State(demo): State<Demo>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Message>>, Failure> {
    Ok(Json(known_run(&demo, &id)?.messages()))
}

#[derive(Debug, Deserialize)]
struct Cancellation {
    run_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Resumption {
    starting_after: Option<u64>,
    include_pings: Option<bool>,
    agent_id: Option<String>,
    otid: Option<String>,
}

pub(super) async fn resume(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    body: bytes::Bytes,
) -> Result<Response, Failure> {
    let resumption: Resumption = parse_body(&body)?;
    let run = known_run(&demo, &id)?;
    if !run.background {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT: Run was not created in background mode, so it cannot be retrieved.",
        ));
    }
    Ok(read(&demo, run, &resumption))
}

pub(super) async fn resume_conversation(
    State(demo): State<Demo>,
    Path(conversation): Path<String>,
    body: bytes::Bytes,
) -> Result<Response, Failure> {
    let resumption: Resumption = parse_body(&body)?;
    let key = thread_key(&demo, &conversation, resumption.agent_id.as_deref())?;
    let run = {
        let mut world = demo.shared.world();
        let thread = world.thread(&key);
        match &resumption.otid {
            Some(otid) => {
                let id = thread.run_of(otid).map(str::to_owned);
                id.and_then(|id| world.run(&id))
            }
            None => thread.active.clone().filter(|run| run.background),
        }
    };
    let run = run.ok_or_else(|| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT: No active runs found for this conversation.",
        )
    })?;
    Ok(read(&demo, run, &resumption))
}

fn read(demo: &Demo, run: Arc<Run>, resumption: &Resumption) -> Response {
    let drop_after = demo.shared.world().faults.drop_after.pop_front();
    event_stream(run.read(Reading {
        starting_after: resumption.starting_after.unwrap_or(0),
        pings: resumption.include_pings.unwrap_or(true),
        drop_after,
    }))
}

/// Cancels what runs on the agent's own routes and frees a default thread that waits for approval.
pub(super) async fn cancel_agent(
    State(demo): State<Demo>,
    Path(agent): Path<String>,
    body: bytes::Bytes,
) -> Result<Json<BTreeMap<String, &'static str>>, Failure> {
    let Cancellation { run_ids } = parse_body(&body)?;
    known_agent(&demo, &agent)?;
    if let Some(ids) = run_ids {
        let mut runs = demo.shared.world().active(&agent, None);
        runs.retain(|run| ids.contains(&run.id));
        let key = ThreadKey {
            agent,
            conversation: None,
        };
        return cancel(&demo, &key, runs);
    }
    let key = ThreadKey {
        agent,
        conversation: None,
    };
    let freed = demo.shared.world().thread(&key).pending.take().is_some();
    let runs = demo.shared.world().active(&key.agent, Some(&key));
    match cancel(&demo, &key, runs) {
        Err(_) if freed => Ok(Json(BTreeMap::new())),
        answer => answer,
    }
}

pub(super) async fn cancel_conversation(
    State(demo): State<Demo>,
    Path(conversation): Path<String>,
    Query(query): Query<AgentQuery>,
) -> Result<Json<BTreeMap<String, &'static str>>, Failure> {
    let key = thread_key(&demo, &conversation, query.agent_id.as_deref())?;
    // V1 looks for runs of the agent then, whichever conversation they are in.
    let everywhere = key.conversation.is_none();
    let runs = demo
        .shared
        .world()
        .active(&key.agent, (!everywhere).then_some(&key));
    cancel(&demo, &key, runs)
}

fn cancel(
    demo: &Demo,
    key: &ThreadKey,
    runs: Vec<Arc<Run>>,
) -> Result<Json<BTreeMap<String, &'static str>>, Failure> {
    if runs.is_empty() {
        let name = key.conversation.as_deref().unwrap_or("default");
        return Err(Failure::conflict(&format!(
            "No active runs to cancel for conversation {name}"
        )));
    }
    let cancelled = runs.into_iter().map(|run| {
        run.cancelled.cancel();
        if run.killed.is_cancelled() {
            run.set_stopped("cancelled");
            demo.shared.world().thread(&run.thread).release(&run);
        }
        (run.id.clone(), "cancelled")
    });
    Ok(Json(cancelled.collect()))
}
