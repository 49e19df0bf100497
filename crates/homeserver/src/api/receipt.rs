//! Receipts.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receipts>

use ruma::{
    RoomId, UserId,
    api::client::receipt::create_receipt::v3::{ReceiptType, Request, Response},
    events::receipt::{self, ReceiptThread},
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::receipts,
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create)
}

/// 403 for those who are not in the room.
pub(super) fn check_joined(services: &Services, room: &RoomId, user: &UserId) -> Result<()> {
    if services.rooms.is_joined(room, user)? {
        return Ok(());
    }
    Err(Error::forbidden("You are not in this room"))
}

async fn create(services: AppState, call: Call<Request>) -> Result<Response> {
    let (request, user) = (call.body, call.caller.user_id);
    check_joined(&services, &request.room_id, &user)?;
    let (room, event) = (&request.room_id, &request.event_id);
    let known_thread = matches!(
        request.thread,
        ReceiptThread::Unthreaded | ReceiptThread::Main | ReceiptThread::Thread(_)
    );
    if !known_thread {
        return Err(Error::invalid(
            "thread_id is the event id of a thread's root, or main",
        ));
    }
    let _turn = services.accounts.user_locks.lock(&user).await;
    let kind = match request.receipt_type {
        ReceiptType::Read => receipt::ReceiptType::Read,
        ReceiptType::ReadPrivate => receipt::ReceiptType::ReadPrivate,
        ReceiptType::FullyRead if request.thread == ReceiptThread::Unthreaded => {
            receipts::set_fully_read(&services.rooms, &user, room, event).await?;
            return Ok(Response::new());
        }
        ReceiptType::FullyRead => {
            return Err(Error::invalid("m.fully_read knows no threads"));
        }
        _ => {
            return Err(Error::invalid(
                "The receipt type is m.read, m.read.private or m.fully_read",
            ));
        }
    };
    receipts::set(&services.rooms, &user, room, kind, event, &request.thread).await?;
    Ok(Response::new())
}
