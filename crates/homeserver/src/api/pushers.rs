//! Pushers: where a user wants to be told of notifications.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

use ruma::api::client::push::{
    get_pushers,
    set_pusher::{self, v3::PusherAction},
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(list).add(set)
}

async fn list(
    services: AppState,
    call: Call<get_pushers::v3::Request>,
) -> Result<get_pushers::v3::Response> {
    Ok(get_pushers::v3::Response::new(
        services.pushers.list(&call.caller.user_id)?,
    ))
}

async fn set(
    services: AppState,
    call: Call<set_pusher::v3::Request>,
) -> Result<set_pusher::v3::Response> {
    let (user, device) = (&call.caller.user_id, call.caller.device_id.as_deref());
    let _turn = services.accounts.user_locks.lock(user).await;
    match call.body.action {
        PusherAction::Post(data) => {
            services
                .pushers
                .set(user, device, &data.pusher, data.append)
                .await?;
        }
        PusherAction::Delete(ids) => services.pushers.delete(user, &ids).await?,
        _ => return Err(Error::invalid("A pusher is set or deleted")),
    }
    Ok(set_pusher::v3::Response::new())
}
