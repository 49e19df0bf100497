//! A stream that was written down, decoded without a server: see
//! [`rest::transcript`](crate::rest::transcript).

use super::chunks::Chunks;
use crate::{backend::TurnEvent, rest::TurnLimits, sse::SseParser};

/// The events that a [`TurnStream`](crate::TurnStream) of these bytes would have.
pub fn decode(bytes: &[u8]) -> Vec<TurnEvent> {
    let (mut parsed, mut events) = (Vec::new(), Vec::new());
    let mut chunks = Chunks::new(TurnLimits::default());
    if SseParser::new().push(bytes, &mut parsed).is_err() {
        chunks.exceed_limit("ANSWER_TOO_LONG");
    }
    for event in &parsed {
        chunks.feed(event, &mut events);
    }
    events.push(TurnEvent::Finished(chunks.finish()));
    events
}
