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
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(list).add(set)
}

async fn list(
    server: Server,
    call: Call<get_pushers::v3::Request>,
) -> Result<get_pushers::v3::Response> {
    Ok(get_pushers::v3::Response::new(
        server.pushers.list(&call.caller.user_id)?,
    ))
}

async fn set(
    server: Server,
    call: Call<set_pusher::v3::Request>,
) -> Result<set_pusher::v3::Response> {
    let (user, device) = (&call.caller.user_id, call.caller.device_id.as_deref());
    let _turn = server.accounts.serial.of(user).await;
    match call.body.action {
        PusherAction::Post(data) => {
            server
                .pushers
                .set(user, device, &data.pusher, data.append)
                .await?;
        }
        PusherAction::Delete(ids) => server.pushers.delete(user, &ids).await?,
        _ => return Err(Error::invalid("A pusher is set or deleted")),
    }
    Ok(set_pusher::v3::Response::new())
}
