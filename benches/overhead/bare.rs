//! No bridge at all: takes a transaction, asks Letta, puts the first token into the room. It keeps
//! nothing, checks nothing and decides nothing, and runs as a process of its own like the bridge.

use axum::{Json, Router, body::Bytes, extract::State, routing::put};
use serde_json::{Value, json};

use crate::support::client;

/// Set, this program is the bare client: where it listens, the homeserver, Letta.
pub(crate) const ENVIRONMENT: &str = "OVERHEAD_BARE";

#[derive(Clone)]
struct Bare {
    http: reqwest::Client,
    homeserver: String,
    letta: String,
}

/// Serves until it is killed.
pub(crate) async fn serve(environment: &str) -> anyhow::Result<()> {
    let mut words = environment.split_whitespace().map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let listener = tokio::net::TcpListener::bind(word()).await?;
    let bare = Bare {
        homeserver: word(),
        letta: word(),
        http: client()?,
    };
    let router = Router::new()
        .route("/_matrix/app/v1/transactions/{id}", put(transaction))
        .route("/_matrix/mau/ready", axum::routing::get(async || "ready"))
        .with_state(bare);
    Ok(axum::serve(listener, router).await?)
}

async fn transaction(State(bare): State<Bare>, body: Bytes) -> Json<Value> {
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Value::Array(events) = body["events"].take() else {
        return Json(json!({}));
    };
    for event in events {
        let bare = bare.clone();
        tokio::spawn(async move {
            if let Err(error) = bare.answer(&event).await {
                eprintln!("{error}");
            }
        });
    }
    Json(json!({}))
}

impl Bare {
    async fn answer(&self, event: &Value) -> anyhow::Result<()> {
        let question = event["event_id"].as_str().unwrap_or_default();
        let prompt = json!({
            "messages": [{ "role": "user", "content": event["content"]["body"], "otid": question }],
            "stream_tokens": true, "background": true, "streaming": true,
        });
        let url = format!("{}/v1/conversations/default/messages", self.letta);
        let mut stream = self.http.post(url).json(&prompt).send().await?;
        let Some(frame) = stream.chunk().await? else {
            return Ok(());
        };
        let frame = std::str::from_utf8(&frame)?.trim_start_matches("data: ");
        let said: Value = serde_json::from_str(frame.trim_end())?;
        let content = json!({
            "msgtype": "m.text", "body": said["content"],
            "m.relates_to": { "m.in_reply_to": { "event_id": question } },
        });
        let room = event["room_id"].as_str().unwrap_or_default();
        let id = question.trim_start_matches('$');
        let url = format!(
            "{}/_matrix/client/v3/rooms/{room}/send/m.room.message/{id}",
            self.homeserver
        );
        self.http.put(url).json(&content).send().await?;
        while stream.chunk().await?.is_some() {}
        Ok(())
    }
}
