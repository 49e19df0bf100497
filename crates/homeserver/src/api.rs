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
    server::Server,
};

mod account;
pub(crate) mod account_data;
mod account_moderation;
mod admin_register;
mod alias;
mod answered;
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
mod later;
mod lean;
mod login;
mod media;
mod members;
mod membership;
mod messages;
mod mutual;
mod notifications;
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
mod server_key;
mod session;
mod sliding;
mod space;
mod state;
mod sync;
mod tag;
#[cfg(test)]
mod tests;
mod thirdparty;
mod to_device;
mod typing;
mod untyped;
mod upgrade;
mod user_directory;
mod versions;
mod voip;
mod well_known;

/// How long a browser may remember what is allowed.
const CORS_MAX_AGE: Duration = Duration::from_hours(24);

/// All routes, as a service.
pub(crate) fn router() -> Router<Server> {
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

/// All routes.
pub(crate) fn routes() -> Routes {
    let routes = Routes::default();
    let routes = account::routes(routes);
    let routes = account_data::routes(routes);
    let routes = account_moderation::routes(routes);
    let routes = admin_register::routes(routes);
    let routes = alias::routes(routes);
    let routes = appservice::routes(routes);
    let routes = backup::routes(routes);
    let routes = backup_keys::routes(routes);
    let routes = capabilities::routes(routes);
    let routes = cross_signing::routes(routes);
    let routes = dehydrated::routes(routes);
    let routes = delayed::routes(routes);
    let routes = devices::routes(routes);
    let routes = directory::routes(routes);
    let routes = events::routes(routes);
    let routes = filter::routes(routes);
    let routes = keys::routes(routes);
    let routes = login::routes(routes);
    let routes = media::routes(routes);
    let routes = members::routes(routes);
    let routes = membership::routes(routes);
    let routes = messages::routes(routes);
    let routes = mutual::routes(routes);
    let routes = notifications::routes(routes);
    let routes = openid::routes(routes);
    let routes = presence::routes(routes);
    let routes = preview::routes(routes);
    let routes = profile::routes(routes);
    let routes = push_rules::routes(routes);
    let routes = pushers::routes(routes);
    let routes = read_marker::routes(routes);
    let routes = receipt::routes(routes);
    let routes = register::routes(routes);
    let routes = relations::routes(routes);
    let routes = report::routes(routes);
    let routes = room_create::routes(routes);
    let routes = room_summary::routes(routes);
    let routes = search::routes(routes);
    let routes = send::routes(routes);
    let routes = server_key::routes(routes);
    let routes = session::routes(routes);
    let routes = sliding::routes(routes);
    let routes = space::routes(routes);
    let routes = state::routes(routes);
    let routes = sync::routes(routes);
    let routes = tag::routes(routes);
    let routes = thirdparty::routes(routes);
    let routes = to_device::routes(routes);
    let routes = typing::routes(routes);
    let routes = upgrade::routes(routes);
    let routes = user_directory::routes(routes);
    let routes = versions::routes(routes);
    let routes = voip::routes(routes);
    well_known::routes(routes)
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
