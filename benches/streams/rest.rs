//! A double of a Letta with the REST API: lists agents, takes a prompt, and streams one answer as a
//! V1 server does in background mode.

use std::convert::Infallible;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    listen::listen,
    words::{Pace, Words, agent, agent_number},
};

#[derive(Clone)]
struct Letta {
    words: Words,
    pace: Pace,
    agents: usize,
}

/// Listens, and answers where.
pub(crate) async fn start(words: Words, pace: Pace, agents: usize) -> anyhow::Result<String> {
    let letta = Letta {
        words,
        pace,
        agents,
    };
    let router = Router::new()
        .route("/v1/agents/", get(list))
        .route("/v1/conversations/", get(async || Json(json!([]))))
        .route("/v1/conversations/default/messages", post(answer))
        .with_state(letta);
    listen(router).await
}

#[derive(Deserialize)]
struct Page {
    limit: usize,
    after: Option<String>,
}

async fn list(State(letta): State<Letta>, Query(page): Query<Page>) -> Json<Value> {
    let first = page.after.as_deref().and_then(agent_number);
    let numbers = first.map_or(0, |last| last + 1)..letta.agents;
    let entry = |number| json!({ "id": agent(number), "name": format!("Agent {number}") });
    Json(numbers.take(page.limit).map(entry).collect())
}

async fn answer(State(letta): State<Letta>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(room) = body["agent_id"].as_str().and_then(agent_number) else {
        return http::StatusCode::NOT_FOUND.into_response();
    };
    let ticks = letta.pace.ticks();
    let frames = futures_util::stream::unfold((0, ticks), move |(sequence, mut ticks)| {
        let letta = letta.clone();
        async move {
            if sequence > letta.pace.count {
                return None;
            }
            ticks.tick().await;
            let frame = if sequence == letta.pace.count {
                end(room, sequence)
            } else {
                delta(room, sequence, &letta.words.say(room))
            };
            Some((Ok::<_, Infallible>(frame), (sequence + 1, ticks)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(frames)).into_response()
}

fn delta(room: usize, sequence: usize, text: &str) -> String {
    let message = format!("message-{room}");
    let said = json!({
        "id": message, "message_type": "assistant_message", "otid": message,
        "run_id": format!("run-{room}"), "seq_id": sequence + 1, "content": text,
    });
    format!("data: {said}\n\n")
}

fn end(room: usize, sequence: usize) -> String {
    let stopped = json!({
        "message_type": "stop_reason", "stop_reason": "end_turn", "run_id": format!("run-{room}"),
        "seq_id": sequence + 1,
    });
    format!("data: {stopped}\n\ndata: [DONE]\n\n")
}
