//! An application service that does nothing but note when events reach it.

use std::{path::Path, time::Instant};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    routing::{any, put},
};
use serde_json::{Value, json};

use super::{arrivals::Arrivals, listen::listen};

/// With what it calls a homeserver.
pub(crate) const AS_TOKEN: &str = "token-of-the-application-service";
/// With what a homeserver calls it.
const HS_TOKEN: &str = "token-of-the-homeserver";
/// How the names of its users begin.
pub(crate) const GHOSTS: &str = "ghost_";

/// Listens, and answers where.
pub(crate) async fn start(arrivals: Arrivals) -> anyhow::Result<String> {
    let router = Router::new()
        .route("/_matrix/app/v1/transactions/{id}", put(transaction))
        .fallback(any(async || Json(json!({}))))
        .with_state(arrivals);
    listen(router).await
}

async fn transaction(State(arrivals): State<Arrivals>, body: Bytes) -> Json<Value> {
    let at = Instant::now();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    for event in body["events"].as_array().into_iter().flatten() {
        if let Some(id) = event["event_id"].as_str() {
            arrivals.note(id, at);
        }
    }
    Json(json!({}))
}

/// Writes the registration that both homeservers read.
pub(crate) fn write_registration(url: &str, file: &Path) -> anyhow::Result<()> {
    let registration = json!({
        "id": "bench", "url": url, "as_token": AS_TOKEN, "hs_token": HS_TOKEN,
        "sender_localpart": "bench", "rate_limited": false,
        "namespaces": {
            "users": [{ "exclusive": true, "regex": format!("@{GHOSTS}.*") }],
            "aliases": [], "rooms": [],
        },
    });
    // JSON is YAML.
    Ok(std::fs::write(file, registration.to_string())?)
}
