//! The endpoints, one module for each part of the Client-Server API, each with its routes.
//!
//! A handler reads: load, decide, save, answer. What it decides with is in the parts of the server, not here.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/>

use std::time::Duration;

use axum::Router;
use http::{HeaderName, Method, header};
use tower_http::cors::{Any, CorsLayer};

use crate::{
    error::Error,
    http::{Routes, error_response},
    services::AppState,
};

mod account;
pub(crate) mod account_data;
mod account_moderation;
mod admin_register;
mod alias;
mod appservice;
mod backup;
mod backup_keys;
mod capabilities;
mod cross_signing;
mod dehydrated;
mod delayed;
mod devices;
mod directory;
mod events;
pub(crate) mod filter;
mod keys;
mod login;
mod media;
mod members;
mod membership;
mod messages;
mod mutual;
mod notifications;
mod omit_null;
mod openid;
mod presence;
mod preview;
mod profile;
mod push_rules;
mod pushers;
mod read_marker;
mod receipt;
mod register;
mod relations;
mod report;
mod room_create;
mod room_summary;
mod search;
mod send;
mod send_or_delay;
mod server_key;
mod session;
mod sliding;
mod space;
mod state;
mod synapse_admin;
mod sync;
mod tag;
#[cfg(test)]
mod tests;
mod thirdparty;
mod to_device;
mod typing;
mod untyped;
mod untyped_request;
mod upgrade;
mod user_directory;
mod versions;
mod voip;
mod well_known;
mod with_response;
mod with_status;

/// How long a browser may remember what is allowed.
const CORS_MAX_AGE: Duration = Duration::from_hours(24);

/// All routes, as a service.
pub(crate) fn router() -> Router<AppState> {
    routes()
        .into_router()
        .fallback(|| async { error_response(Error::unrecognized()) })
        .method_not_allowed_fallback(|| async {
            let mut response = error_response(Error::unrecognized());
            *response.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
            response
        })
        .layer(cors())
}

/// What adds the routes of one area.
type Area = fn(Routes) -> Routes;

/// Every area. The table of all routes, which a test compares, does not depend on the order.
const AREAS: &[Area] = &[
    account::routes,
    account_data::routes,
    account_moderation::routes,
    admin_register::routes,
    alias::routes,
    appservice::routes,
    backup::routes,
    backup_keys::routes,
    capabilities::routes,
    cross_signing::routes,
    dehydrated::routes,
    delayed::routes,
    devices::routes,
    directory::routes,
    events::routes,
    filter::routes,
    keys::routes,
    login::routes,
    media::routes,
    members::routes,
    membership::routes,
    messages::routes,
    mutual::routes,
    notifications::routes,
    openid::routes,
    presence::routes,
    preview::routes,
    profile::routes,
    push_rules::routes,
    pushers::routes,
    read_marker::routes,
    receipt::routes,
    register::routes,
    relations::routes,
    report::routes,
    room_create::routes,
    room_summary::routes,
    search::routes,
    send::routes,
    server_key::routes,
    session::routes,
    sliding::routes,
    space::routes,
    state::routes,
    sync::routes,
    synapse_admin::routes,
    tag::routes,
    thirdparty::routes,
    to_device::routes,
    typing::routes,
    upgrade::routes,
    user_directory::routes,
    versions::routes,
    voip::routes,
    well_known::routes,
];

/// All routes.
pub(crate) fn routes() -> Routes {
    AREAS
        .iter()
        .fold(Routes::default(), |routes, add| add(routes))
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::HEAD,
        ])
        .allow_headers([
            HeaderName::from_static("x-requested-with"),
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::DATE,
        ])
        .max_age(CORS_MAX_AGE)
}
