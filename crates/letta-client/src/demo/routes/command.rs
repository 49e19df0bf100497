//! The routes under `/_demo/`: what a [`Demo`] handle does, over HTTP.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, parse_body};
use crate::demo::{Demo, Faults, Records};

pub(super) async fn records(State(demo): State<Demo>) -> Json<Records> {
    Json(demo.records())
}

pub(super) async fn faults(State(demo): State<Demo>) -> Json<Faults> {
    Json(demo.faults())
}

/// Changes the keys that the body has.
pub(super) async fn set_faults(
    State(demo): State<Demo>,
    body: bytes::Bytes,
) -> Result<Json<Faults>, Failure> {
    let change: serde_json::Map<String, Value> = parse_body(&body)?;
    let mut all = json!(demo.faults());
    for (key, value) in change {
        all[key] = value;
    }
    let faults: Faults = serde_json::from_value(all)
        .map_err(|error| Failure::unprocessable("'body',", &error.to_string()))?;
    demo.set_faults(|now| *now = faults);
    Ok(Json(demo.faults()))
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

pub(super) async fn add_agent(
    State(demo): State<Demo>,
    body: bytes::Bytes,
) -> Result<Json<Value>, Failure> {
    let Name { name } = parse_body(&body)?;
    let agent = demo
        .add_agent(&name)
        .ok_or_else(|| Failure::commanded(500))?;
    Ok(Json(json!({ "id": agent.id, "name": agent.name })))
}

pub(super) async fn rename_agent(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    body: bytes::Bytes,
) -> Result<StatusCode, Failure> {
    let Name { name } = parse_body(&body)?;
    found(demo.shared.world().rename_agent(&id, &name), &id)
}

pub(super) async fn remove_agent(
    State(demo): State<Demo>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    found(demo.shared.world().remove_agent(&id), &id)
}

fn found(found: bool, id: &str) -> Result<StatusCode, Failure> {
    if found {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found("Agent", id))
    }
}
