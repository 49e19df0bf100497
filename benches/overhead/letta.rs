//! A double of Letta: lists agents, takes a prompt, and streams one answer as a V1 server does in
//! background mode. It notes when a question arrives and when the first token of its answer leaves.

use std::{convert::Infallible, time::Duration};

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

use super::{book::Book, listen::listen};

/// From the request to the first token. Any model takes longer.
const THINKS: Duration = Duration::from_millis(50);
/// From the first token to the end.
const TALKS: Duration = Duration::from_millis(50);

/// The whole answer, in one delta: longer than the 40 characters that the bridge waits for.
const ANSWER: &str = "This is an answer of more than forty characters, all of them in one token.";

#[derive(Clone)]
struct Letta {
    book: Book,
    agents: usize,
}

/// The id of the agent with this number.
pub(crate) fn agent(number: usize) -> String {
    format!("agent-00000000-0000-4000-8000-{number:012}")
}

/// Listens, and answers where.
pub(crate) async fn start(book: Book, agents: usize) -> anyhow::Result<String> {
    let router = Router::new()
        .route("/v1/agents/", get(list))
        .route("/v1/conversations/", get(async || Json(json!([]))))
        .route("/v1/conversations/default/messages", post(answer))
        .with_state(Letta { book, agents });
    listen(router).await
}

#[derive(Deserialize)]
struct Page {
    limit: usize,
    after: Option<String>,
}

async fn list(State(letta): State<Letta>, Query(page): Query<Page>) -> Json<Value> {
    let entry = |number| json!({ "id": agent(number), "name": format!("Agent {number}") });
    let all = (0..letta.agents).map(entry);
    let after = all
        .skip_while(|entry| page.after.is_some() && entry["id"].as_str() != page.after.as_deref());
    let skipped = usize::from(page.after.is_some());
    Json(after.skip(skipped).take(page.limit).collect())
}

async fn answer(State(letta): State<Letta>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let question = body["messages"][0]["otid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    letta.book.note(&question, |times| &mut times.asked);
    let run = "run-00000000-0000-4000-8000-000000000000";
    let message = "message-00000000-0000-4000-8000-000000000000";
    let said = json!({
        "id": message, "message_type": "assistant_message", "otid": message,
        "run_id": run, "seq_id": 1, "content": ANSWER,
    });
    let stopped = json!({
        "message_type": "stop_reason", "stop_reason": "end_turn", "run_id": run, "seq_id": 2,
    });
    let frames = futures_util::stream::unfold(0, move |step| {
        let frame = match step {
            0 => format!("data: {said}\n\n"),
            1 => format!("data: {stopped}\n\ndata: [DONE]\n\n"),
            _ => String::new(),
        };
        let (book, question) = (letta.book.clone(), question.clone());
        async move {
            match step {
                0 => {
                    tokio::time::sleep(THINKS).await;
                    book.note(&question, |times| &mut times.token);
                }
                1 => tokio::time::sleep(TALKS).await,
                _ => return None,
            }
            Some((Ok::<_, Infallible>(frame), step + 1))
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(frames)).into_response()
}
