//! Looking people up.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use ruma::api::client::user_directory::search_users::{self, v3::User};

use crate::{
    error::Result,
    http::{Call, Routes},
    limits::USER_SEARCH_RESULTS_MAX,
    operations::user_directory,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_waiting(search)
}

async fn search(
    services: AppState,
    call: Call<search_users::v3::Request>,
) -> Result<search_users::v3::Response> {
    let limit = usize::try_from(call.body.limit).unwrap_or(USER_SEARCH_RESULTS_MAX);
    let (asker, term) = (&call.caller.user_id, &call.body.search_term);
    let (found, limited) = user_directory::search(
        &services.rooms,
        asker,
        term,
        limit.min(USER_SEARCH_RESULTS_MAX),
    )?;
    let users = found.into_iter().map(|found| {
        let mut user = User::new(found.user_id);
        user.display_name = found.display_name;
        user.avatar_url = found.avatar_url;
        user
    });
    Ok(search_users::v3::Response::new(users.collect(), limited))
}
