//! A turn's stream: read, resumed where it breaks, polled where it cannot be resumed.
//!
//! ```text
//!            bytes                     end or error, turn not over
//!  Stream ----------> decoder    Stream ---------------------------> Lost
//!  Lost  -- background: the rest of the run, after the last number --> Stream
//!  Lost  -- nothing was told yet, and sends are idempotent: again ---> Stream
//!  Lost  -- foreground, or resuming brings nothing ------------------> Poll
//!  Poll  -- the run has ended: its stored messages ------------------> Finished
//! ```
//!
//! Everything happens while the caller waits for the next event: dropping the stream drops it all,
//! and no task stays behind.

use std::collections::VecDeque;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::stream;
use reqwest::Response;
use serde::Serialize;
use tokio::time::Instant;

mod liveness;
mod poll;
mod reopen;

pub use liveness::{DEAD_AFTER, DEAD_AFTER_UNSEEN};
pub use poll::{END_GRACE, POLL_FAILURES_MAX};
use poll::{Poll, get_messages, get_run};

use super::{
    api::SharedApi,
    approval,
    decoder::{Decoder, Outcome, failure},
    failure::RequestTarget,
    send::Outgoing,
};
use crate::{
    backend::{Destination, StopReason, TurnEvent, TurnFailure, TurnStream},
    error::BackendError,
    failure::FailureKind,
    id::RunId,
    sse::SseParser,
};

/// The most attempts in a row to reconnect a stream, none of which brought an event.
pub const RECONNECTS_MAX: usize = 8;

/// The most times in all that a prompt is sent again here while nothing is known of its run. Each may be a run that costs money, so
/// whoever asks decides about any more.
pub const RESENDS_MAX: u32 = 1;

/// Why a stream is lost that ended too early.
const CUT_OFF: &str = "the stream ended before the turn";

/// The most connections in a row that are accepted and bring nothing, before the run is polled.
pub const BARREN_CONNECTIONS_MAX: u32 = 2;

/// Where the turn's events come from.
enum Source {
    Stream(Response),
    /// The stream broke, for this reason.
    Lost(BackendError),
    Poll(Poll),
}

/// How a stream may be asked for again while nothing is known of its run.
pub(super) struct ResendRequest {
    pub(super) segments: Vec<String>,
    pub(super) body: Outgoing,
}

/// Where a turn runs.
#[derive(Clone, Debug)]
pub(super) struct StreamTarget {
    to: Destination,
    conversations: bool,
}

impl StreamTarget {
    pub(super) fn new(to: &Destination, conversations: bool) -> Self {
        let to = to.clone();
        Self { to, conversations }
    }
}

/// One turn.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; none follows from another"
)]
pub(super) struct Turn {
    api: SharedApi,
    place: StreamTarget,
    liveness: liveness::RunLiveness,
    source: Source,
    decoder: Decoder,
    parser: SseParser,
    queue: VecDeque<Result<TurnEvent, BackendError>>,
    ended: bool,
    background: bool,
    resend: Option<ResendRequest>,
    /// How often the prompt was sent again. Nothing that a stream brings makes it less.
    resends: u32,
    backoff: ExponentialBackoff,
    barren: u32,
    was_silent: bool,
    /// Whether whoever listens was told that the connection is lost.
    interrupted: bool,
    /// From when on a stream that has told its end is not read any more.
    end_by: Option<Instant>,
    deadline: Option<Instant>,
}

#[derive(Serialize)]
struct Resumption {
    starting_after: u64,
    include_pings: bool,
}

/// Streams a run again from its beginning.
pub(super) async fn resume(
    api: SharedApi,
    place: StreamTarget,
    run: &RunId,
) -> Result<TurnStream, BackendError> {
    let body = Resumption {
        starting_after: 0,
        include_pings: true,
    };
    match api
        .open(&["v1", "runs", run.as_str(), "stream"], &body)
        .await
        .map_err(BackendError::into_read_error)?
    {
        Ok(response) => {
            let mut turn = Turn::new(api, place, Source::Stream(response), true, None);
            turn.liveness.resumed(&turn.api, run);
            Ok(turn.into_stream())
        }
        // The run is there, its stream is not: made in the foreground, too old, or Redis is gone.
        Err(refusal) if refusal.is_no_stream() => {
            // Whether the run exists at all should be known before a stream is handed out.
            let entry = get_run(&api, run).await?;
            tracing::debug!(run.id = %run, status = ?entry.status, "polling a foreground run");
            let poll = Source::Poll(Poll::new(&api));
            let mut turn = Turn::new(api, place, poll, false, None);
            turn.liveness.resumed(&turn.api, run);
            let mut events = Vec::new();
            turn.decoder.set_run(run.clone(), &mut events);
            turn.queue.extend(events.into_iter().map(Ok));
            Ok(turn.into_stream())
        }
        Err(refusal) => Err(refusal.into_error(RequestTarget::Run(run))),
    }
}

/// Streams what a send has opened.
pub(super) fn stream(
    api: SharedApi,
    place: StreamTarget,
    response: Response,
    background: bool,
    resend: Option<ResendRequest>,
) -> TurnStream {
    Turn::new(api, place, Source::Stream(response), background, resend).into_stream()
}

impl Turn {
    fn new(
        api: SharedApi,
        place: StreamTarget,
        source: Source,
        background: bool,
        resend: Option<ResendRequest>,
    ) -> Self {
        let deadline = api
            .config
            .turn_timeout
            .map(|timeout| Instant::now() + timeout);
        Self {
            place,
            liveness: liveness::RunLiveness::new(),
            source,
            decoder: Decoder::new(api.config.limits),
            parser: SseParser::new(),
            queue: VecDeque::new(),
            ended: false,
            background,
            resend,
            resends: 0,
            backoff: backoff(&api),
            barren: 0,
            was_silent: false,
            interrupted: false,
            end_by: None,
            deadline,
            api,
        }
    }

    fn into_stream(self) -> TurnStream {
        Box::pin(stream::unfold(self, |mut turn| async {
            turn.next().await.map(|item| (item, turn))
        }))
    }

    async fn next(&mut self) -> Option<Result<TurnEvent, BackendError>> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            let advanced = match self.deadline {
                None => self.advance().await,
                Some(deadline) => {
                    let advanced = tokio::time::timeout_at(deadline, self.advance()).await;
                    if let Ok(advanced) = advanced {
                        advanced
                    } else {
                        self.took_too_long();
                        Ok(())
                    }
                }
            };
            if let Err(error) = advanced {
                self.ended = true;
                self.queue.push_back(Err(error));
            }
        }
    }

    async fn advance(&mut self) -> Result<(), BackendError> {
        match &mut self.source {
            Source::Stream(response) => {
                let chunk = self.api.chunk(response);
                let chunk = match self.end_by {
                    None => chunk.await,
                    Some(by) => {
                        let Ok(chunk) = tokio::time::timeout_at(by, chunk).await else {
                            self.conclude().await;
                            return Ok(());
                        };
                        chunk
                    }
                };
                match chunk {
                    Ok(Some(bytes)) => self.take(&bytes).await,
                    Ok(None) => self.stream_ended(self.api.unreachable(CUT_OFF)).await,
                    Err(error) => self.stream_ended(error).await,
                }
            }
            Source::Lost(_) => self.reopen().await,
            Source::Poll(_) => self.poll().await,
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        let mut parsed = Vec::new();
        if let Err(error) = self.parser.push(bytes, &mut parsed) {
            tracing::debug!(%error, "giving up on a stream");
            self.decoder.exceed_limit("ANSWER_TOO_LONG");
        }
        let before = self.decoder.last_seq_id();
        let mut events = Vec::new();
        for event in &parsed {
            self.decoder.feed(event, &mut events);
        }
        // Its run can be asked for from now on, and what was sent may be large.
        if self.decoder.run().is_some() {
            self.resend = None;
        }
        // Pings, unknown and unreadable events are no progress: a server can send them for ever.
        let progress = !events.is_empty() || self.decoder.last_seq_id() > before;
        self.queue.extend(events.into_iter().map(Ok));
        if self.decoder.has_end() {
            self.end_by.get_or_insert(Instant::now() + END_GRACE);
        }
        self.liveness.note_progress(&self.api, &self.decoder);
        if progress && (self.barren > 0 || self.was_silent) {
            self.barren = 0;
            self.was_silent = false;
            self.backoff = backoff(&self.api);
        }
        if self.decoder.is_over() {
            self.conclude().await;
            return Ok(());
        }
        self.end_if_dead().await
    }

    async fn stream_ended(&mut self, why: BackendError) -> Result<(), BackendError> {
        if self.decoder.has_end() {
            self.conclude().await;
        } else {
            self.liveness.stream_lost();
            self.source = Source::Lost(why);
            self.note_connection(false);
        }
        Ok(())
    }

    /// Tells whoever listens that the connection is lost, or there again.
    fn note_connection(&mut self, note_reachable: bool) {
        if self.interrupted == note_reachable {
            self.interrupted = !note_reachable;
            self.queue.push_back(Ok(if note_reachable {
                TurnEvent::Reconnected
            } else {
                TurnEvent::Interrupted
            }));
        }
    }

    /// The stream has said all it will say.
    async fn conclude(&mut self) {
        let mut events = Vec::new();
        match self.decoder.finish(&mut events) {
            Outcome::Stop(stop) => {
                if self.decoder.lacks(&stop)
                    && let Some(run) = self.decoder.run().cloned()
                {
                    self.fetch_lacking(&run, &mut events).await;
                }
                let stop = self.decoder.breached().unwrap_or(stop);
                self.finish(events, stop).await;
            }
            Outcome::Error(error) => {
                self.queue.extend(events.into_iter().map(Ok));
                self.queue.push_back(Err(error));
                self.ended = true;
            }
            Outcome::Lost if self.decoder.run().is_some() => {
                // `[DONE]`, but not how: the run itself knows.
                self.queue.extend(events.into_iter().map(Ok));
                self.source = Source::Poll(Poll::new(&self.api));
            }
            Outcome::Lost => {
                let failure = failure("stream_incomplete", "the stream said nothing");
                self.finish(events, StopReason::Failed(failure)).await;
            }
        }
    }

    /// Some agents' text is stored and never streamed.
    async fn fetch_lacking(&mut self, run: &RunId, events: &mut Vec<TurnEvent>) {
        match get_messages(&self.api, run).await {
            Ok(messages) => {
                self.decoder.replay(messages, false, events);
                self.decoder.finish(events);
            }
            // The turn is over all the same, only without words.
            Err(error) => {
                tracing::warn!(run.id = %run, %error, "could not re-read the answer from stored messages");
            }
        }
    }

    fn took_too_long(&mut self) {
        let stop = StopReason::Failed(TurnFailure {
            code: "TURN_TOO_LONG".to_owned(),
            detail: "the turn took longer than its timeout".to_owned(),
            kind: FailureKind::Refused,
        });
        self.queue.push_back(Ok(TurnEvent::Finished(stop)));
        self.ended = true;
    }

    async fn finish(&mut self, mut events: Vec<TurnEvent>, stop: StopReason) {
        if stop == StopReason::NeedsApproval {
            self.read_request(&mut events).await;
        }
        self.queue.extend(events.into_iter().map(Ok));
        self.queue.push_back(Ok(TurnEvent::Finished(stop)));
        self.ended = true;
    }

    /// What waits is what the server has stored, not what it has streamed.
    async fn read_request(&mut self, events: &mut Vec<TurnEvent>) {
        let StreamTarget { to, conversations } = &self.place;
        match approval::pending_approval(&self.api, to, *conversations).await {
            Ok(Some(request)) => self.decoder.stored_request(request, events),
            // Somebody has decided at once.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "could not fetch the pending approval request"),
        }
    }
}

fn backoff(api: &SharedApi) -> ExponentialBackoff {
    let first = api.config.reconnect_delay;
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(first)
        .with_max_delay(first * 32)
        .with_max_times(RECONNECTS_MAX)
        .build()
}
