//! The routes under `/_demo/`: what a [`Demo`] handle does, over HTTP.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, parse_body};
use crate::demo::{Demo, Mischief, Records};

pub(super) async fn records(State(demo): State<Demo>) -> Json<Records> {
    Json(demo.records())
}

pub(super) async fn mischief(State(demo): State<Demo>) -> Json<Mischief> {
    Json(demo.mischief())
}

/// Changes the keys that the body has.
pub(super) async fn set_mischief(
    State(demo): State<Demo>,
    body: bytes::Bytes,
) -> Result<Json<Mischief>, Failure> {
    let change: serde_json::Map<String, Value> = parse_body(&body)?;
    let mut all = json!(demo.mischief());
    for (key, value) in change {
        all[key] = value;
    }
    let mischief: Mischief = serde_json::from_value(all)
        .map_err(|error| Failure::unprocessable("'body',", &error.to_string()))?;
    demo.set_mischief(|now| *now = mischief);
    Ok(Json(demo.mischief()))
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
