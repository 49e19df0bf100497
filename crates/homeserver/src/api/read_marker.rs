//! Read markers: the fully-read marker and receipts in one request.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers>

use ruma::{
    api::client::read_marker::set_read_marker::v3::{Request, Response},
    events::receipt::{ReceiptThread, ReceiptType},
};

use super::receipt::check_joined;
use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::receipts,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(set)
}

async fn set(services: AppState, call: Call<Request>) -> Result<Response> {
    let (request, user) = (call.body, call.caller.user_id);
    let room = &request.room_id;
    check_joined(&services, room, &user)?;
    let _turn = services.accounts.user_locks.lock(&user).await;
    if let Some(event) = &request.fully_read {
        receipts::set_fully_read(&services.rooms, &user, room, event).await?;
    }
    let sent = [
        (ReceiptType::Read, request.read_receipt),
        (ReceiptType::ReadPrivate, request.private_read_receipt),
    ];
    for (kind, event) in sent {
        if let Some(event) = event {
            let thread = ReceiptThread::Unthreaded;
            receipts::set(&services.rooms, &user, room, kind, &event, &thread).await?;
        }
    }
    Ok(Response::new())
}
