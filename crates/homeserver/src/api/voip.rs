//! The relay for calls, if there is one.
//!
//! The credentials are those of the TURN REST API draft: a user name that holds its end, and its HMAC with the relay's secret. Spec:
//! <https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip>

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use ruma::{UserId, api::client::voip::get_turn_server_info};
use serde_json::json;
use sha1::Sha1;

use super::untyped::{Json, Untyped};
use crate::{
    clock,
    config::Turn,
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(relay)
}

/// Nothing is an answer, too: there is no relay, and clients need not ask again soon.
async fn relay(
    services: AppState,
    call: Call<Untyped<get_turn_server_info::v3::Request>>,
) -> Result<Json> {
    let turn = &services.config.turn;
    let shut = call.caller.guest && !turn.turn_allow_guests;
    if turn.turn_uris.is_empty() || shut {
        return Ok(Json(json!({})));
    }
    let Some((username, password)) = credentials(turn, &call.caller.user_id)? else {
        return Ok(Json(json!({})));
    };
    Ok(Json(json!({
        "username": username,
        "password": password,
        "uris": turn.turn_uris,
        "ttl": turn.turn_ttl.as_secs(),
    })))
}

fn credentials(turn: &Turn, user: &UserId) -> Result<Option<(String, String)>> {
    let secret = turn
        .secret()
        .map_err(|error| Error::Broken(error.to_string()))?;
    let Some(secret) = secret else {
        let (Some(name), Some(password)) = (&turn.turn_username, &turn.turn_password) else {
            return Ok(None);
        };
        return Ok(Some((name.clone(), password.expose().to_owned())));
    };
    let end = clock::now()
        .as_secs()
        .to_string()
        .parse::<u64>()
        .unwrap_or_default();
    let end = end.saturating_add(turn.turn_ttl.as_secs());
    let username = format!("{end}:{user}");
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| Error::Broken(format!("turn_secret: {error}")))?;
    mac.update(username.as_bytes());
    let password = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    Ok(Some((username, password)))
}
