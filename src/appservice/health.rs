//! `GET /_matrix/mau/live`, `GET /_matrix/mau/ready` (also `/health`), `POST /webhook/new-agent`.
//!
//! For supervisors and scripts. They tell nothing that needs a secret, and the webhook does nothing
//! but look for agents sooner: what it finds comes from Letta, and looking has its own limit.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Map, Value, json};
use system::condition::StoreCondition;

use super::AppserviceState;

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// The start-up checks have passed, homeserver and bridge know and reach each other, and what has to be written can be.
pub(super) async fn ready(State(state): State<AppserviceState>) -> (StatusCode, Json<Value>) {
    readiness(*state.ready.borrow(), &state.conditions)
}

/// Reasons that may be told to anybody. The whole reason, which can name files of this machine, is in the log.
const PUBLIC_REASONS: [&str; 6] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Input/output error",
    "Permission denied",
    "Too many open files",
];

/// The part of a reason that may be told to anybody.
fn public_reason(reason: &str) -> &'static str {
    PUBLIC_REASONS
        .into_iter()
        .find(|public| reason.contains(public))
        .unwrap_or("it cannot be written; the log says why")
}

/// 200, or 503 with the names of the stores that cannot be written and why.
pub(crate) fn readiness(started: bool, conditions: &[StoreCondition]) -> (StatusCode, Json<Value>) {
    let unwritable: Map<String, Value> = conditions
        .iter()
        .filter_map(|condition| {
            let state = condition.state();
            let reason = public_reason(state.reason()?);
            Some((condition.name().to_owned(), reason.into()))
        })
        .collect();
    if !unwritable.is_empty() {
        let body = json!({ "ready": false, "unwritable": unwritable });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body));
    }
    let status = if started {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": started })))
}

/// Somebody knows that there is a new agent.
pub(super) async fn new_agent(State(state): State<AppserviceState>) -> (StatusCode, Json<Value>) {
    state.provision.look_now();
    (StatusCode::ACCEPTED, Json(json!({})))
}
