//! Messages to devices.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>

use ruma::api::client::to_device::send_event_to_device::v3::{Request, Response};

use crate::{
    error::Result,
    http::{Call, Routes},
    keys::to_device::{self, Message},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(send)
}

async fn send(services: AppState, call: Call<Request>) -> Result<Response> {
    let (caller, body) = (&call.caller, call.body);
    let mut messages = Vec::new();
    for (user, devices) in body.messages {
        messages.extend(devices.into_iter().map(|(device, content)| Message {
            user: user.clone(),
            device,
            content: content.into_json(),
        }));
    }
    let kind = body.event_type.to_string();
    let seen = (&*caller.sender_key(), body.txn_id.as_str());
    to_device::send(&services.keys, &caller.user_id, &kind, seen, &messages).await?;
    Ok(Response::new())
}
