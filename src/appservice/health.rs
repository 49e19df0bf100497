//! `GET /_matrix/mau/live`, `GET /_matrix/mau/ready` (also `/health`), `POST /webhook/new-agent`.
//!
//! For supervisors and scripts. They tell nothing that needs a secret, and the webhook does nothing
//! but look for agents sooner: what it finds comes from Letta, and looking has its own limit.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::Desk;

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// The start-up checks have passed: homeserver and bridge know and reach each other.
pub(super) async fn ready(State(desk): State<Desk>) -> (StatusCode, Json<Value>) {
    let ready = *desk.ready.borrow();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready })))
}

/// Somebody knows that there is a new agent.
pub(super) async fn new_agent(State(desk): State<Desk>) -> (StatusCode, Json<Value>) {
    desk.provision.look_now();
    (StatusCode::ACCEPTED, Json(json!({})))
}
