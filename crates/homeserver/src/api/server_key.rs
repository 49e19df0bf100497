//! What other programs ask of any Matrix server although it does not federate: its keys, its name and its version.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::federation::discovery::{get_server_keys, get_server_version},
    serde::Raw,
};
use serde_json::{Value, json};

use crate::{
    blocking::Owner,
    clock,
    error::{Error, Result},
    http::{Call, Routes, error_response},
    server::{Server, Software},
    store::tables,
};

/// How long others may go on without asking for the keys again.
const KEYS_GOOD_FOR: Duration = Duration::from_hours(24);

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(keys).add_light(version).and(probes)
}

/// Where admins and health checks of Tuwunel look.
fn probes(router: Router<Server>) -> Router<Server> {
    router
        .route("/_tuwunel/server_version", routing::get(server_version))
        .route("/_tuwunel/local_user_count", routing::get(user_count))
        .route("/health", routing::get(health))
}

async fn user_count(State(server): State<Server>) -> Response {
    let accounts = server.accounts.clone();
    let owner = Owner::Address(None);
    match server
        .blocking
        .run(owner, async move { accounts.list() })
        .await
    {
        Ok(users) => Json(json!({ "count": users.len() })).into_response(),
        Err(error) => error_response(error),
    }
}

/// Whether the database can be read, which is all that requests need.
async fn health(State(server): State<Server>) -> Response {
    match server.store.contains::<tables::Meta>(("server name",)) {
        Ok(_) => "OK".into_response(),
        Err(error) => error_response(error.into()),
    }
}

async fn server_version(State(server): State<Server>) -> Json<Value> {
    let Software { name, version } = server.software;
    Json(json!({ "name": name, "version": version }))
}

async fn version(
    server: Server,
    _: Call<get_server_version::v1::Request>,
) -> Result<get_server_version::v1::Response> {
    let mut answer = get_server_version::v1::Server::new();
    answer.name = Some(server.software.name.to_owned());
    answer.version = Some(server.software.version.to_owned());
    let mut response = get_server_version::v1::Response::new();
    response.server = Some(answer);
    Ok(response)
}

async fn keys(
    server: Server,
    _: Call<get_server_keys::v2::Request>,
) -> Result<get_server_keys::v2::Response> {
    let pair = server.rooms.signing_key();
    let name = server.config.server_name.as_str();
    let now = u64::from(clock::now().0);
    let good_for = u64::try_from(KEYS_GOOD_FOR.as_millis()).unwrap_or_default();
    let until = MilliSecondsSinceUnixEpoch(UInt::new_saturating(now.saturating_add(good_for)));
    let key_id = format!("ed25519:{}", pair.version());
    let document = json!({
        "server_name": name,
        "valid_until_ts": until,
        "verify_keys": { key_id: { "key": BASE64_STANDARD_NO_PAD.encode(pair.public_key()) } },
        "old_verify_keys": {},
    });
    let mut object = serde_json::from_value(document)?;
    ruma::signatures::sign_json(name, pair, &mut object)
        .map_err(|error| Error::Broken(format!("the keys could not be signed: {error}")))?;
    let raw = serde_json::value::to_raw_value(&object)?;
    Ok(get_server_keys::v2::Response::new(Raw::from_json(raw)))
}
