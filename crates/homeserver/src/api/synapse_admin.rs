//! The part of Synapse's admin API that admin tools call: accounts, rooms, files.
//!
//! Every endpoint is for admins, with their own access token; who is none learns nothing. What this server does not have (erasing by
//! half, third-party ids, shadow bans) is shown as not there.
//! <https://element-hq.github.io/synapse/latest/usage/administration/admin_api/index.html>

use axum::response::{IntoResponse, Json as AxumJson, Response};
use http::Method;
use ruma::{OwnedUserId, UserId};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::untyped_request::Endpoint;
use crate::{
    caller::{Caller, RequestMetadata},
    error::{Error, Result},
    http::Routes,
    rooms::admin_room,
    services::{AppState, Services},
};

mod media;
mod rooms;
mod users;

/// How many entries a page has if the request does not say.
const PAGE_DEFAULT_ENTRIES: usize = 100;
/// The longest body of a request without a token, in bytes: it has none.
const NO_BODY: usize = 0;

pub(super) fn routes(routes: Routes) -> Routes {
    let path = "/_synapse/admin/v1/server_version";
    let routes = routes.add_raw(&Method::GET, path, NO_BODY, version);
    media::routes(rooms::routes(users::routes(routes)))
}

/// Tools ask for it before anybody logs in.
async fn version(services: AppState, _: RequestMetadata) -> Result<Response> {
    let software = services.software;
    let version = format!("{} {}", software.name, software.version);
    Ok(AxumJson(json!({ "server_version": version })).into_response())
}

/// 403 for everybody who is no admin.
fn check_admin(services: &Services, caller: &Caller) -> Result<()> {
    if admin_room::is_admin(&services.rooms, &caller.user_id)? {
        return Ok(());
    }
    Err(Error::forbidden("You are not a server admin"))
}

/// A user of this server.
fn local_user(services: &Services, id: &str) -> Result<OwnedUserId> {
    let user = UserId::parse(id).map_err(|error| Error::invalid(error.to_string()))?;
    if user.server_name() != services.config.server_name {
        return Err(Error::invalid("This user is not of this server"));
    }
    Ok(user)
}

/// The body, where one that is empty says nothing.
fn body<T: DeserializeOwned>(facts: &RequestMetadata) -> Result<T> {
    let bytes = if facts.bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        &facts.bytes[..]
    };
    serde_json::from_slice(bytes).map_err(|error| Error::bad_json(error.to_string()))
}

/// Which page is asked for.
struct Page {
    from: usize,
    limit: usize,
}

impl Page {
    fn of(facts: &RequestMetadata) -> Result<Self> {
        let number = |name: &str, default| match facts.query_value(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Error::invalid(format!("{name} is no number"))),
        };
        Ok(Self {
            from: number("from", 0)?,
            limit: number("limit", PAGE_DEFAULT_ENTRIES)?,
        })
    }

    /// The entries of the page, and where the next one begins.
    fn cut<T>(&self, all: Vec<T>) -> (Vec<T>, Option<usize>) {
        let total = all.len();
        let page: Vec<T> = all.into_iter().skip(self.from).take(self.limit).collect();
        let next = self.from.saturating_add(page.len());
        (page, Some(next).filter(|&next| next < total))
    }
}

/// Whether a filter of the query is on.
fn flag(facts: &RequestMetadata, name: &str, default: bool) -> bool {
    facts
        .query_value(name)
        .map_or(default, |value| value == "true")
}

/// Whether what is searched for is in one of the texts.
fn is_found(term: Option<&String>, texts: &[&str]) -> bool {
    let Some(term) = term else {
        return true;
    };
    let term = term.to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&term))
}

/// Names an endpoint of this API.
macro_rules! endpoint {
    ($name:ident, $method:ident, $path:literal) => {
        #[derive(Debug)]
        struct $name;

        impl super::Endpoint for $name {
            const METHOD: http::Method = http::Method::$method;
            const PATH: &'static str = concat!("/_synapse/admin/", $path);
        }
    };
}
use endpoint;
