//! Typing notifications.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use ruma::api::client::typing::create_typing_event::v3::{Request, Response, Typing};

use super::{account_data::check_own_user, receipt::check_joined};
use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(set)
}

async fn set(services: AppState, call: Call<Request>) -> Result<Response> {
    let (room, user) = (&call.body.room_id, &call.body.user_id);
    check_own_user(&call.caller, user)?;
    check_joined(&services, room, user)?;
    match call.body.state {
        Typing::Yes(info) => services.rooms.typing.start(room, user, info.timeout)?,
        Typing::No => services.rooms.typing.stop(room, user)?,
    }
    Ok(Response::new())
}
