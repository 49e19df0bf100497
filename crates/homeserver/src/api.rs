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
mod admin_register;
mod capabilities;
mod devices;
mod login;
mod openid;
mod profile;
mod register;
mod server_key;
mod session;
mod thirdparty;
mod untyped;
mod user_directory;
mod versions;
mod voip;
mod well_known;

/// How long a browser may remember what is allowed.
const CORS_MAX_AGE: Duration = Duration::from_secs(86_400);

/// All routes.
pub(crate) fn router() -> Router<Server> {
    let routes = Routes::default();
    let routes = account::routes(routes);
    let routes = admin_register::routes(routes);
    let routes = capabilities::routes(routes);
    let routes = devices::routes(routes);
    let routes = login::routes(routes);
    let routes = openid::routes(routes);
    let routes = profile::routes(routes);
    let routes = register::routes(routes);
    let routes = server_key::routes(routes);
    let routes = session::routes(routes);
    let routes = thirdparty::routes(routes);
    let routes = user_directory::routes(routes);
    let routes = versions::routes(routes);
    let routes = voip::routes(routes);
    let routes = well_known::routes(routes);
    routes
        .into_router()
        .fallback(|| async { error_response(Error::unrecognized()) })
        .method_not_allowed_fallback(|| async {
            let mut response = error_response(Error::unrecognized());
            *response.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
            response
        })
        .layer(cors())
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
