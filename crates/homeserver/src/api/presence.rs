//! Presence: how users want to be seen, and how they are.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>

use ruma::api::client::presence::{get_presence, set_presence};

use super::account_data::check_own_user;
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
    sync::presence,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(get).add(set)
}

async fn get(
    services: AppState,
    call: Call<get_presence::v3::Request>,
) -> Result<get_presence::v3::Response> {
    let user = &call.body.user_id;
    if !services.sync.presence.is_allowed() {
        return Err(presence::presence_disabled_error());
    }
    let own = call.caller.user_id == *user;
    if !own && !services.rooms.share_room(&call.caller.user_id, user)? {
        return Err(Error::forbidden("You share no room with this user"));
    }
    let status = services.sync.presence.get(user)?;
    let mut response = get_presence::v3::Response::new(status.state.clone());
    response.currently_active = Some(status.currently_active());
    response.last_active_ago = Some(status.active_ago());
    response.status_msg = status.message;
    Ok(response)
}

async fn set(
    services: AppState,
    call: Call<set_presence::v3::Request>,
) -> Result<set_presence::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    let never_syncs = call.caller.appservice.is_some();
    let (user, message) = (&request.user_id, request.status_msg);
    services
        .sync
        .presence
        .set(user, request.presence, message, never_syncs)
        .await?;
    Ok(set_presence::v3::Response::new())
}
