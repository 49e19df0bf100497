//! What other programs ask of any Matrix server although it does not federate: its keys, its name and its version.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use std::time::Duration;

use axum::{Json, Router, routing};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::federation::discovery::{get_server_keys, get_server_version},
    serde::Raw,
    signatures::KeyPair,
};
use serde_json::{Value, json};

use crate::{
    clock,
    error::{Error, Result},
    http::{Call, Routes},
    server::Server,
};

/// How long others may go on without asking for the keys again.
const KEYS_GOOD_FOR: Duration = Duration::from_hours(24);
/// What this program is called.
const NAME: &str = "matrix-appservice-letta homeserver";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(keys).add(version).and(probes)
}

/// Where admins and health checks of Tuwunel look.
fn probes(router: Router<Server>) -> Router<Server> {
    router.route("/_tuwunel/server_version", routing::get(server_version))
}

async fn server_version() -> Json<Value> {
    Json(json!({ "name": NAME, "version": env!("CARGO_PKG_VERSION") }))
}

async fn version(
    _: Server,
    _: Call<get_server_version::v1::Request>,
) -> Result<get_server_version::v1::Response> {
    let mut server = get_server_version::v1::Server::new();
    server.name = Some(NAME.to_owned());
    server.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let mut response = get_server_version::v1::Response::new();
    response.server = Some(server);
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
