//! A stream that was written down, decoded without a server.
//!
//! What a room shows of a turn is tested against the bytes of real turns. This is the way from
//! those bytes to events, and nothing else: nothing is resumed, polled or waited for.

use super::decoder::{Decoder, Outcome, TurnLimits};
use crate::{backend::TurnEvent, error::BackendError, sse::SseParser};

/// The items that a [`TurnStream`](crate::TurnStream) of these bytes would have: the last one is
/// one [`TurnEvent::Finished`] or one error.
///
/// Where a live stream would be resumed because it ends before its turn does, and where its bytes
/// are past a limit of [`SseParser`], the last item is [`BackendError::Protocol`].
pub fn decode(bytes: &[u8]) -> Vec<Result<TurnEvent, BackendError>> {
    let (mut parsed, mut events) = (Vec::new(), Vec::new());
    let whole = SseParser::new().push(bytes, &mut parsed);
    let mut decoder = Decoder::new(TurnLimits::default());
    for event in &parsed {
        decoder.feed(event, &mut events);
    }
    let protocol = |detail: String| Err(BackendError::Protocol { detail });
    let last = match (whole, decoder.finish(&mut events)) {
        (Err(error), _) => protocol(error.to_string()),
        (Ok(()), Outcome::Stop(stop)) => Ok(TurnEvent::Finished(stop)),
        (Ok(()), Outcome::Error(error)) => Err(error),
        (Ok(()), Outcome::Lost) => protocol("the stream ends before the turn".to_owned()),
    };
    events.into_iter().map(Ok).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::StopReason;

    const STEPS: &str = include_str!("../../tests/transcripts/steps.txt");

    #[test]
    fn a_whole_stream_ends_with_its_stop() {
        let items = decode(STEPS.as_bytes());
        assert!(
            matches!(
                items.last(),
                Some(Ok(TurnEvent::Finished(StopReason::EndTurn)))
            ),
            "{items:?}"
        );
    }

    #[test]
    fn a_stream_that_breaks_off_ends_with_an_error() {
        let items = decode(&STEPS.as_bytes()[..400]);
        assert!(
            matches!(items.as_slice(), [.., Err(BackendError::Protocol { .. })]),
            "{items:?}"
        );
        assert!(items.iter().rev().skip(1).all(Result::is_ok), "{items:?}");
    }
}
