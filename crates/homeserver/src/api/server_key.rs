//! What other programs ask of any Matrix server although it does not federate: its keys, its name and its version.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use http::Method;
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::federation::discovery::{get_server_keys, get_server_version},
    serde::Raw,
};
use serde_json::json;

use crate::{
    caller::RequestMetadata,
    clock,
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
    software::Software,
    store::tables,
};

/// How long others may go on without asking for the keys again.
const KEYS_GOOD_FOR: Duration = Duration::from_hours(24);
/// The longest body of a health check, in bytes: it has none.
const PROBE_BODY_MAX_BYTES: usize = 0;

pub(super) fn routes(routes: Routes) -> Routes {
    probes(routes.add_light(keys).add_light(version))
}

/// Where admins and health checks of Tuwunel look.
fn probes(routes: Routes) -> Routes {
    let (get, limit) = (&Method::GET, PROBE_BODY_MAX_BYTES);
    routes
        .add_raw(get, "/_tuwunel/server_version", limit, server_version)
        .add_raw(get, "/_tuwunel/local_user_count", limit, user_count)
        .add_raw(get, "/health", limit, health)
}

async fn user_count(services: AppState, _: RequestMetadata) -> Result<Response> {
    let users = services.accounts.list()?;
    Ok(Json(json!({ "count": users.len() })).into_response())
}

/// Whether the database can be read, which is all that requests need.
async fn health(services: AppState, _: RequestMetadata) -> Result<Response> {
    services.store.contains::<tables::Meta>(("server name",))?;
    Ok("OK".into_response())
}

async fn server_version(services: AppState, _: RequestMetadata) -> Result<Response> {
    let Software { name, version } = services.software;
    Ok(Json(json!({ "name": name, "version": version })).into_response())
}

async fn version(
    services: AppState,
    _: Call<get_server_version::v1::Request>,
) -> Result<get_server_version::v1::Response> {
    let mut answer = get_server_version::v1::Server::new();
    answer.name = Some(services.software.name.to_owned());
    answer.version = Some(services.software.version.to_owned());
    let mut response = get_server_version::v1::Response::new();
    response.server = Some(answer);
    Ok(response)
}

async fn keys(
    services: AppState,
    _: Call<get_server_keys::v2::Request>,
) -> Result<get_server_keys::v2::Response> {
    let pair = services.rooms.signing_key();
    let name = services.config.server_name.as_str();
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
