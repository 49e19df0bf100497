//! Requests that send an event now or, with `org.matrix.msc4140.delay=`, later: one path, two answers.
//!
//! The answer carries along what its device's sync waits for ([`PendingSend`]), until it is written.
//! Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4140>

use std::sync::Arc;

use http::Response;
use ruma::{
    OwnedEventId,
    api::{OutgoingBodyJson, OutgoingResponse, error::IntoHttpError},
};
use serde::Serialize;

use super::with_response::WithResponse;
use crate::{
    caller::{Caller, RequestMetadata},
    error::{Error, Result},
    services::Services,
    sync::pending_sends::PendingSend,
};

/// The request `R`, which sends an event.
pub(super) type SendOrDelay<R> = WithResponse<R, SendOutcome>;

/// What became of the event.
#[derive(Debug)]
pub(super) enum SendOutcome {
    /// It is sent. A device that gave it an id waits for its echo until this is answered.
    Sent(OwnedEventId, Option<PendingSend>),
    /// It waits, with this id.
    Delayed(String),
}

/// The answer as it is written.
#[derive(Serialize, OutgoingBodyJson)]
#[serde(rename_all = "snake_case")]
pub(super) enum SentBody {
    EventId(OwnedEventId),
    DelayId(String),
}

impl OutgoingResponse for SendOutcome {
    type Body = SentBody;

    fn try_into_http_response_inner(self) -> Result<Response<SentBody>, IntoHttpError> {
        let (event, unanswered) = match self {
            Self::Sent(event, unanswered) => (event, unanswered),
            Self::Delayed(id) => return Ok(Response::new(SentBody::DelayId(id))),
        };
        let mut response = Response::new(SentBody::EventId(event));
        // What extends a response is dropped when its head is written.
        response.extensions_mut().insert(unanswered.map(Arc::new));
        Ok(response)
    }
}

/// Begins a request whose event the device will see with the id that it gave the request.
pub(super) fn begin_pending_send(services: &Services, caller: &Caller) -> Option<PendingSend> {
    let device = caller.device_id.as_ref()?;
    Some(services.sync.pending_sends.begin(&caller.user_id, device))
}

/// How many milliseconds the event is to wait.
///
/// # Errors
///
/// 400 if it is no number.
pub(super) fn delay_ms(facts: &RequestMetadata) -> Result<Option<u64>> {
    let Some(text) = facts.query_value("org.matrix.msc4140.delay") else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| Error::invalid("a delay is a number of milliseconds"))
}
