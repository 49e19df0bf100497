//! One turn's stream: read to its end, never mended.
//!
//! Everything happens while the caller waits for the next event: dropping the stream hangs up, and
//! no task stays behind. The server goes on with the turn by itself.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Response;
use tokio::time::timeout;

use super::chunks::{Chunks, incomplete};
use crate::{
    backend::{TurnEvent, TurnStream},
    error::BackendError,
    rest::api::SharedApi,
    sse::SseParser,
};

/// How long to wait for `[DONE]` or the end of the connection after the answer has ended. Not every
/// server says the one or does the other.
pub const AFTER_FINISH_MAX: Duration = Duration::from_secs(2);

struct Turn {
    api: SharedApi,
    response: Response,
    parser: SseParser,
    chunks: Chunks,
    queue: VecDeque<TurnEvent>,
    ended: bool,
}

/// Streams what a send has opened.
pub(super) fn stream(api: SharedApi, response: Response) -> TurnStream {
    let turn = Turn {
        chunks: Chunks::new(api.config.limits),
        api,
        response,
        parser: SseParser::new(),
        queue: VecDeque::new(),
        ended: false,
    };
    Box::pin(stream::unfold(turn, |mut turn| async {
        turn.next().await.map(|event| (Ok(event), turn))
    }))
}

impl Turn {
    async fn next(&mut self) -> Option<TurnEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.read().await {
                Ok(Some(bytes)) => self.take(&bytes),
                Err(error) if !self.chunks.has_finished() => {
                    // The server has accepted the prompt, so it must not be sent again.
                    tracing::debug!(%error, "a stream broke");
                    self.end_with(TurnEvent::Finished(incomplete(&error.to_string())));
                }
                Ok(None) | Err(_) => self.finish(),
            }
        }
    }

    /// The next bytes; `None` if there are none to wait for.
    async fn read(&mut self) -> Result<Option<Bytes>, BackendError> {
        let chunk = self.api.chunk(&mut self.response);
        if self.chunks.has_finished() {
            return timeout(AFTER_FINISH_MAX, chunk).await.unwrap_or(Ok(None));
        }
        chunk.await
    }

    fn take(&mut self, bytes: &[u8]) {
        let (mut parsed, mut events) = (Vec::new(), Vec::new());
        if let Err(error) = self.parser.push(bytes, &mut parsed) {
            tracing::debug!(%error, "giving up on a stream");
            self.chunks.exceed_limit("ANSWER_TOO_LONG");
        }
        for event in &parsed {
            self.chunks.feed(event, &mut events);
        }
        self.queue.extend(events);
        if self.chunks.is_over() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let stop = self.chunks.finish();
        self.end_with(TurnEvent::Finished(stop));
    }

    fn end_with(&mut self, last: TurnEvent) {
        self.queue.push_back(last);
        self.ended = true;
    }
}
