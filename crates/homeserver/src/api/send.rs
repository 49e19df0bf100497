//! Sending messages and taking them back.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>

use ruma::{
    OwnedEventId,
    api::client::{message::send_message_event, redact::redact_event},
    events::TimelineEventType,
};
use serde::Deserialize;

use super::send_or_delay::{SendOrDelay, SendOutcome, begin_pending_send, delay_ms};
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{
        self, Draft, delayed,
        send::{Txn, send},
    },
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(message).add(redact)
}

/// What a redaction redacts, where a client sends one like a message.
#[derive(Deserialize)]
struct Redacts {
    redacts: Option<OwnedEventId>,
}

async fn message(
    services: AppState,
    call: Call<SendOrDelay<send_message_event::v3::Request>>,
) -> Result<SendOutcome> {
    let body = call.body.request;
    let kind = TimelineEventType::from(body.event_type.to_string());
    let txn = Txn {
        scope: format!("send {} {kind}", body.room_id),
        id: body.txn_id.to_string(),
    };
    let content = body.body.into_json();
    let redacts = match kind {
        TimelineEventType::RoomRedaction => {
            let read: Redacts = serde_json::from_str(content.get())
                .map_err(|error| Error::bad_json(format!("redacts: {error}")))?;
            read.redacts
        }
        _ => None,
    };
    rooms::may_redact(&services.rooms, &call.caller, redacts.as_deref())?;
    let mut draft = Draft::message(call.caller.user_id.clone(), kind, content);
    draft.redacts = redacts;
    draft.time = call.facts.massaged_time(&call.caller)?;
    let (caller, room) = (&call.caller, &body.room_id);
    if let Some(delay) = delay_ms(&call.facts)? {
        let id = delayed::schedule(&services.rooms, caller, room, draft, delay, Some(&txn)).await?;
        return Ok(SendOutcome::Delayed(id));
    }
    let unanswered = begin_pending_send(&services, caller);
    let event = send(&services.rooms, caller, room, draft, Some(txn)).await?;
    Ok(SendOutcome::Sent(event, unanswered))
}

async fn redact(
    services: AppState,
    call: Call<SendOrDelay<redact_event::v3::Request>>,
) -> Result<SendOutcome> {
    let body = call.body.request;
    rooms::may_redact(&services.rooms, &call.caller, Some(&body.event_id))?;
    let txn = Txn {
        scope: format!("redact {} {}", body.room_id, body.event_id),
        id: body.txn_id.to_string(),
    };
    let mut draft = rooms::redact::draft(&call.caller.user_id, body.event_id, body.reason)?;
    draft.time = call.facts.massaged_time(&call.caller)?;
    let unanswered = begin_pending_send(&services, &call.caller);
    let event = send(
        &services.rooms,
        &call.caller,
        &body.room_id,
        draft,
        Some(txn),
    )
    .await?;
    Ok(SendOutcome::Sent(event, unanswered))
}
