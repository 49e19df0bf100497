//! A double of a homeserver: answers what a bridge asks with the least that is true, and notes when
//! the answer to a question arrives. It keeps no rooms; an alias `#a:…` is the room `!a:…`.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{any, get, post, put},
};
use serde_json::{Value, json};

use super::{book::Book, listen::listen};

/// The server name.
pub(crate) const DOMAIN: &str = "bench.test";

/// The room of an agent in the double.
pub(crate) fn room_of(agent: &str) -> String {
    let rest = agent.trim_start_matches("agent-").replace('-', "_");
    format!("!agent_{rest}:{DOMAIN}")
}

/// The double. Clones are the same.
#[derive(Clone)]
pub(crate) struct Homeserver {
    book: Book,
    listed: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
    bridge: Arc<RwLock<Bridge>>,
    http: reqwest::Client,
}

#[derive(Clone, Default)]
struct Bridge {
    url: String,
    hs_token: String,
}

impl Homeserver {
    /// Listens, and answers where.
    pub(crate) async fn start(book: Book, http: reqwest::Client) -> anyhow::Result<(Self, String)> {
        let double = Self {
            book,
            listed: Arc::default(),
            events: Arc::default(),
            bridge: Arc::default(),
            http,
        };
        let v3 = "/_matrix/client/v3";
        let room = format!("{v3}/rooms/{{room}}");
        let router = Router::new()
            .route("/_matrix/client/versions", get(versions))
            .route(&format!("{v3}/register"), post(register))
            .route(&format!("{v3}/account/whoami"), get(who))
            .route("/_matrix/client/v1/appservice/{id}/ping", post(ping))
            .route(&format!("{v3}/createRoom"), post(create_room))
            .route(&format!("{v3}/directory/room/{{alias}}"), get(not_found))
            .route(&format!("{v3}/rooms/{{room}}/join"), post(join))
            .route(&format!("{v3}/join/{{room}}"), post(join))
            .route(&format!("{room}/joined_members"), get(members))
            .route(&format!("{room}/state/m.space.child/{{child}}"), put(list))
            .route(&format!("{room}/send/m.room.message/{{id}}"), put(send))
            .fallback(any(async || Json(json!({}))))
            .with_state(double.clone());
        let url = listen(router).await?;
        Ok((double, url))
    }

    /// Whom a ping is passed on to.
    pub(crate) fn set_bridge(&self, url: &str, hs_token: &str) {
        let bridge = Bridge {
            url: url.to_owned(),
            hs_token: hs_token.to_owned(),
        };
        *self.bridge.write().unwrap_or_else(PoisonError::into_inner) = bridge;
    }

    /// Waits until the space lists so many rooms.
    pub(crate) async fn lists(&self, rooms: usize) {
        while self.listed.load(Ordering::Relaxed) < rooms {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn event(&self) -> Json<Value> {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        Json(json!({ "event_id": format!("$made{number}") }))
    }
}

async fn versions() -> Json<Value> {
    Json(json!({ "versions": ["v1.1", "v1.7", "v1.11"] }))
}

async fn register(body: Bytes) -> Json<Value> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let name = body["username"].as_str().unwrap_or_default();
    Json(json!({ "user_id": format!("@{name}:{DOMAIN}") }))
}

async fn who() -> Json<Value> {
    Json(json!({ "user_id": format!("@letta:{DOMAIN}") }))
}

async fn ping(State(double): State<Homeserver>, body: Bytes) -> Json<Value> {
    let bridge = double
        .bridge
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    // A bridge that cannot be reached says so itself, by not starting.
    drop(
        double
            .http
            .post(format!("{}/_matrix/app/v1/ping", bridge.url))
            .bearer_auth(bridge.hs_token)
            .body(body)
            .send()
            .await,
    );
    Json(json!({ "duration_ms": 1 }))
}

async fn create_room(body: Bytes) -> Json<Value> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let alias = body["room_alias_name"].as_str().unwrap_or("other");
    Json(json!({ "room_id": format!("!{alias}:{DOMAIN}") }))
}

async fn not_found() -> (StatusCode, Json<Value>) {
    let body = json!({ "errcode": "M_NOT_FOUND", "error": "there is none" });
    (StatusCode::NOT_FOUND, Json(body))
}

async fn join(Path(room): Path<String>) -> Json<Value> {
    Json(json!({ "room_id": room }))
}

async fn members() -> Json<Value> {
    Json(json!({ "joined": { format!("@admin:{DOMAIN}"): {}, format!("@letta:{DOMAIN}"): {} } }))
}

async fn list(State(double): State<Homeserver>) -> Json<Value> {
    double.listed.fetch_add(1, Ordering::Relaxed);
    double.event()
}

async fn send(State(double): State<Homeserver>, body: Bytes) -> Json<Value> {
    let content: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(question) = content["m.relates_to"]["m.in_reply_to"]["event_id"].as_str() {
        double.book.note(question, |times| &mut times.put);
    }
    double.event()
}
