//! Where clients find the server, and whom they ask for help.
//!
//! A wrong answer is worse than none: clients follow it with the user's password. What is configured counts. If nothing is, the answer
//! is the very address that was asked: whoever got there is where they wanted to be. Spec: <https://spec.matrix.org/v1.19/client-server-api/#well-known-uri>

use http::{HeaderMap, uri::Authority};
use ruma::api::client::discovery::{
    discover_homeserver,
    discover_support::{self, Contact, ContactRole},
};

use serde_json::json;

use super::untyped::{Json, Untyped};
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(client).add_light(support)
}

async fn client(
    services: AppState,
    call: Call<Untyped<discover_homeserver::Request>>,
) -> Result<Json> {
    let configured = services.config.well_known.client.as_ref();
    let url = match configured {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => asked_at(&call.facts.headers)
            .ok_or_else(|| Error::not_found("well_known.client is not configured"))?,
    };
    let mut answer = json!({ "m.homeserver": { "base_url": url } });
    if let (Some(default), Some(answer)) = (
        services.config.well_known.element_e2ee_default,
        answer.as_object_mut(),
    ) {
        answer.insert("io.element.e2ee".into(), json!({ "default": default }));
    }
    Ok(Json(answer))
}

/// The address that the client asked, from the headers of its request.
fn asked_at(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let host: Authority = text("host")?.parse().ok()?;
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    Some(format!("{scheme}://{host}"))
}

async fn support(
    services: AppState,
    _: Call<discover_support::Request>,
) -> Result<discover_support::Response> {
    let known = &services.config.well_known;
    let role = known
        .support_role
        .as_deref()
        .map_or(ContactRole::Admin, ContactRole::from);
    let contact = match (&known.support_email, &known.support_mxid) {
        (Some(email), user) => {
            let mut contact = Contact::with_email_address(role, email.clone());
            contact.matrix_id.clone_from(user);
            Some(contact)
        }
        (None, Some(user)) => Some(Contact::with_matrix_id(role, user.clone())),
        (None, None) => None,
    };
    if contact.is_none() && known.support_page.is_none() {
        return Err(Error::not_found("No contact is configured"));
    }
    let mut response = discover_support::Response::with_contacts(contact.into_iter().collect());
    response.support_page = known.support_page.as_ref().map(ToString::to_string);
    Ok(response)
}
