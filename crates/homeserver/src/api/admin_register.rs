//! Making accounts with a secret that scripts share with the server, as Synapse has it.
//!
//! Who knows `registration_shared_secret` proves it with an HMAC over a number that is good once. The endpoint is not there without
//! the secret. <https://element-hq.github.io/synapse/latest/admin_api/register_api.html>

use axum::response::{IntoResponse, Json, Response};
use hmac::{Hmac, Mac};
use http::Method;
use ruma::api::error::ErrorKind;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::time::Instant;

use crate::{
    accounts::{credential::Credential, identity, tokens::LoginOptions},
    caller::RequestMetadata,
    config::Secret,
    error::{Error, Result},
    holder::network_of,
    http::Routes,
    limits::REGISTER_BODY_MAX_BYTES,
    rooms::admin_room,
    services::{AppState, Services},
};

const PATH: &str = "/_synapse/admin/v1/register";
/// How many bytes an HMAC-SHA1 has.
const MAC_BYTES: usize = 20;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add_raw(&Method::GET, PATH, REGISTER_BODY_MAX_BYTES, nonce)
        .add_raw(&Method::POST, PATH, REGISTER_BODY_MAX_BYTES, register)
}

#[derive(Deserialize)]
struct Registration {
    nonce: String,
    username: String,
    #[serde(default)]
    displayname: Option<String>,
    password: String,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    user_type: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
}

async fn nonce(services: AppState, facts: RequestMetadata) -> Result<Response> {
    secret(&services)?;
    let network = facts.ip.map(network_of);
    let nonce = services.accounts.nonces.issue(network, Instant::now());
    Ok(Json(json!({ "nonce": nonce })).into_response())
}

async fn register(services: AppState, facts: RequestMetadata) -> Result<Response> {
    Ok(Json(made(&services, &facts).await?).into_response())
}

fn secret(services: &Services) -> Result<&Secret> {
    let secret = services
        .config
        .registration
        .registration_shared_secret
        .as_ref();
    secret.ok_or_else(Error::unrecognized)
}

async fn made(services: &Services, facts: &RequestMetadata) -> Result<Value> {
    let secret = secret(services)?;
    let wanted: Registration =
        serde_json::from_slice(&facts.bytes).map_err(|error| Error::bad_json(error.to_string()))?;
    if !services.accounts.nonces.take(&wanted.nonce, Instant::now()) {
        return Err(Error::invalid("unrecognised nonce"));
    }
    let look = async { Ok(is_signed(&wanted, secret)?.then_some(())) };
    if services
        .accounts
        .limit_guesses(facts, look)
        .await?
        .is_none()
    {
        return Err(Error::forbidden("HMAC incorrect"));
    }
    if wanted.admin && admin_room::room(&services.rooms)?.is_none() {
        // Better no account than one that its owner takes for an admin's.
        return Err(Error::invalid(
            "Admins are those in the admin room, and there is none: set create_admin_room, or ask without admin",
        ));
    }
    let accounts = &services.accounts;
    let name = identity::new_user_id(accounts, &wanted.username)?;
    if services.appservices.exclusive_owner(&name).is_some() {
        return Err(Error::bad_request(
            ErrorKind::Exclusive,
            "Username is reserved by an appservice.",
        ));
    }
    let hash = accounts.hash(&wanted.password, &facts.into()).await?;
    let user = services
        .operations
        .create_account_with(&wanted.username, Some(hash))
        .await?;
    if let Some(name) = &wanted.displayname {
        services.operations.set_display_name(&user, name).await?;
    }
    if wanted.admin && !admin_room::is_admin(&services.rooms, &user)? {
        services.operations.make_admin(&user).await?;
    }
    let mut answer = json!({ "user_id": user, "home_server": services.config.server_name });
    if !wanted.inhibit_login {
        let issued = accounts
            .log_in(
                &user,
                Credential::NewAccount,
                LoginOptions::default(),
                &services.config.login,
            )
            .await?;
        answer["access_token"] = issued.access_token.into();
        answer["device_id"] = issued.device_id.as_str().into();
    }
    Ok(answer)
}

fn is_signed(wanted: &Registration, secret: &Secret) -> Result<bool> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| Error::Broken(format!("registration_shared_secret: {error}")))?;
    let admin = if wanted.admin { "admin" } else { "notadmin" };
    let parts = [&*wanted.nonce, &wanted.username, &wanted.password, admin];
    mac.update(parts.join("\0").as_bytes());
    if let Some(kind) = &wanted.user_type {
        mac.update(b"\0");
        mac.update(kind.as_bytes());
    }
    Ok(from_hex(&wanted.mac).is_some_and(|given| mac.verify_slice(&given).is_ok()))
}

fn from_hex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    if text.len() != 2 * MAC_BYTES || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
