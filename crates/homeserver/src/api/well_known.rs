//! Where clients find the server, and whom they ask for help.
//!
//! A wrong answer is worse than none: clients follow it with the user's password. So only what is configured is said; what a proxy in
//! front calls itself is not guessed. Spec: <https://spec.matrix.org/v1.19/client-server-api/#well-known-uri>

use ruma::api::client::discovery::{
    discover_homeserver::{self, HomeserverInfo},
    discover_support::{self, Contact, ContactRole},
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(client).add(support)
}

async fn client(
    server: Server,
    _: Call<discover_homeserver::Request>,
) -> Result<discover_homeserver::Response> {
    let url = server.config.well_known.client.as_ref();
    let url = url.ok_or_else(|| Error::not_found("well_known.client is not configured"))?;
    let url = url.as_str().trim_end_matches('/').to_owned();
    Ok(discover_homeserver::Response::new(HomeserverInfo::new(url)))
}

async fn support(
    server: Server,
    _: Call<discover_support::Request>,
) -> Result<discover_support::Response> {
    let known = &server.config.well_known;
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
