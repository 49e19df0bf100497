//! Another stream for a turn whose stream broke.

use super::{
    super::failure::RequestTarget, BARREN_CONNECTIONS_MAX, Poll, RESENDS_MAX, Resumption, Source,
    Turn,
};
use crate::{
    error::{Advice, BackendError},
    sse::SseParser,
};

impl Turn {
    /// Gets another stream for the same turn, or decides that there is none.
    pub(super) async fn reopen(&mut self) -> Result<(), BackendError> {
        let poll = Source::Poll(Poll::new(&self.api));
        let Source::Lost(why) = std::mem::replace(&mut self.source, poll) else {
            return Ok(());
        };
        let silent = matches!(why, BackendError::Silent { .. });
        let run = self.decoder.run().cloned();
        if run.is_some() && (!self.background || self.barren >= BARREN_CONNECTIONS_MAX) {
            return Ok(());
        }
        // Silence once is a connection that died unnoticed; twice, it is Letta.
        if silent && (run.is_none() || std::mem::replace(&mut self.was_silent, true)) {
            return Err(why);
        }
        if run.is_none() && (self.resend.is_none() || self.resends >= RESENDS_MAX) {
            return Err(why);
        }
        let Some(pause) = self.backoff.next() else {
            return Err(why);
        };
        tracing::debug!(error = %why, ?pause, "could not read a stream to its end; opening another one");
        tokio::time::sleep(pause).await;
        let opened = match (&run, &self.resend) {
            (None, Some(resend)) => {
                self.resends += 1;
                let segments: Vec<_> = resend.segments.iter().map(String::as_str).collect();
                self.api.open(&segments, &resend.body).await
            }
            (Some(run), _) => {
                let body = Resumption {
                    starting_after: self.decoder.last_seq_id(),
                    include_pings: true,
                };
                self.api
                    .open(&["v1", "runs", run.as_str(), "stream"], &body)
                    .await
                    .map_err(BackendError::into_read_error)
            }
            (None, None) => return Err(why),
        };
        match opened {
            Ok(Ok(response)) => {
                self.barren += 1;
                self.parser = SseParser::new();
                self.source = Source::Stream(response);
                self.note_connection(true);
            }
            Ok(Err(refusal)) => {
                let no_stream = refusal.is_no_stream();
                let error = match &run {
                    Some(run) => refusal.into_error(RequestTarget::Run(run)),
                    None => refusal.into_error(RequestTarget::Server("the conversation")),
                };
                // Whether the run itself is gone is asked once more, of the run.
                let lost = matches!(error, BackendError::NotFound { .. });
                let gone = run.is_some() && (no_stream || lost);
                if !gone && error.advice() != Advice::Retry {
                    return Err(error);
                }
                if !gone {
                    self.source = Source::Lost(error);
                }
            }
            Err(error) => self.source = Source::Lost(error),
        }
        Ok(())
    }
}
