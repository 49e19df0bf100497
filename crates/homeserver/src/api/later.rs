//! Requests that send an event now or, with `org.matrix.msc4140.delay=`, later: one path, two answers.
//!
//! Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4140>

use http::Response;
use ruma::{
    OwnedEventId,
    api::{OutgoingBodyJson, OutgoingResponse, error::IntoHttpError},
};
use serde::Serialize;

use super::answered::Answered;
use crate::{
    error::{Error, Result},
    http::CallFacts,
};

/// The request `R`, whose answer depends on when it is to be done.
pub(super) type OrLater<R> = Answered<R, Sent>;

/// What became of the event.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is sent.
    Now(OwnedEventId),
    /// It waits, with this id.
    Later(String),
}

/// The answer as it is written.
#[derive(Serialize, OutgoingBodyJson)]
#[serde(rename_all = "snake_case")]
pub(super) enum SentBody {
    EventId(OwnedEventId),
    DelayId(String),
}

impl OutgoingResponse for Sent {
    type Body = SentBody;

    fn try_into_http_response_inner(self) -> Result<Response<SentBody>, IntoHttpError> {
        Ok(Response::new(match self {
            Self::Now(event) => SentBody::EventId(event),
            Self::Later(id) => SentBody::DelayId(id),
        }))
    }
}

/// How many milliseconds the event is to wait.
///
/// # Errors
///
/// 400 if it is no number.
pub(super) fn delay_ms(facts: &CallFacts) -> Result<Option<u64>> {
    let Some(text) = facts.query_value("org.matrix.msc4140.delay") else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| Error::invalid("a delay is a number of milliseconds"))
}
