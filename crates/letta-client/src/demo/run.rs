//! A run: a log of frames that one task writes and any number of streams read.
//!
//! That is all there is to background mode, to resuming, and to a run that goes on when its client
//! has gone: a stream is a position in the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    frames::{self, Message, Step},
    ids,
    world::ThreadKey,
};

/// The most frames of one run. A script is far below; this is for sums over many runs.
pub const FRAMES_MAX: usize = 100_000;

/// One turn of one agent.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) thread: ThreadKey,
    pub(super) background: bool,
    /// Token mode, else step mode.
    pub(super) tokens: bool,
    pub(super) created: std::time::SystemTime,
    pub(super) cancelled: CancellationToken,
    /// The server was killed and goes on without it: it stays `running` for ever.
    pub(super) killed: CancellationToken,
    ping_every: std::time::Duration,
    log: Mutex<Log>,
    changed: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Log {
    frames: Vec<Frame>,
    messages: Vec<Message>,
    sequence: u64,
    bytes: usize,
    stop: Option<&'static str>,
    closed: bool,
}

#[derive(Clone, Debug)]
struct Frame {
    seq: Option<u64>,
    ping: bool,
    bytes: Bytes,
}

/// What a stream asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Only frames after this sequence number.
    pub(super) starting_after: u64,
    pub(super) pings: bool,
    /// Break the connection after this many frames.
    pub(super) drop_after: Option<usize>,
}

impl Run {
    pub(super) fn new(
        thread: ThreadKey,
        background: bool,
        tokens: bool,
        ping_every: std::time::Duration,
    ) -> Self {
        Self {
            id: ids::new("run-"),
            thread,
            background,
            tokens,
            created: std::time::SystemTime::now(),
            cancelled: CancellationToken::new(),
            killed: CancellationToken::new(),
            ping_every,
            log: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn step(&self) -> Step {
        Step::new(&self.id)
    }

    /// Streams a message. It is not part of the history yet, see [`Run::store`].
    pub(super) fn push(&self, mut message: Message) {
        let mut log = self.log();
        if self.background {
            log.sequence += 1;
            message.seq_id = Some(log.sequence);
        }
        let ping = message.message_type == "ping";
        self.append(
            log,
            Frame {
                seq: message.seq_id,
                ping,
                bytes: frames::data(&message),
            },
        );
    }

    /// Streams a frame that has no sequence number.
    pub(super) fn push_raw(&self, bytes: Bytes) {
        self.append(
            self.log(),
            Frame {
                seq: None,
                ping: false,
                bytes,
            },
        );
    }

    fn append(&self, mut log: MutexGuard<'_, Log>, frame: Frame) {
        if log.frames.len() < FRAMES_MAX {
            log.bytes += frame.bytes.len();
            log.frames.push(frame);
        }
        drop(log);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Makes a message part of the run's history.
    pub(super) fn store(&self, message: Message) {
        self.log().messages.push(message);
    }

    /// The run's part of the history, the prompts included.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.log().messages.clone()
    }

    /// How many bytes its stream has.
    pub(super) fn byte_count(&self) -> usize {
        self.log().bytes
    }

    /// Why it stopped, if it has.
    pub(super) fn stop_reason(&self) -> Option<&'static str> {
        self.log().stop
    }

    /// The word for how it stands in `GET /v1/runs/{id}`.
    pub(super) fn status(&self) -> &'static str {
        match self.stop_reason() {
            None => "running",
            Some("cancelled") => "cancelled",
            Some("end_turn" | "requires_approval" | "max_steps" | "tool_rule") => "completed",
            Some(_) => "failed",
        }
    }

    /// Says how it ended; frames may follow until [`Run::close`].
    pub(super) fn set_stopped(&self, reason: &'static str) {
        self.log().stop.get_or_insert(reason);
    }

    /// The server was killed: what a first step was about is not stored.
    pub(super) fn kill(&self) {
        self.killed.cancel();
        let mut log = self.log();
        if !log
            .messages
            .iter()
            .any(|message| message.message_type.ends_with("_return_message"))
        {
            log.messages.clear();
        }
    }

    /// A ping of who reads a run that says nothing: it repeats the last number.
    pub(super) fn idle_ping(&self) -> Bytes {
        let mut ping = self.step().ping();
        ping.seq_id = Some(self.log().sequence);
        frames::data(&ping)
    }

    /// No frame follows: streams end.
    pub(super) fn close(&self) {
        self.log().closed = true;
        self.changed.send_modify(|count| *count += 1);
    }

    /// Frames from some position on, until the run is closed.
    pub(super) fn read(
        self: Arc<Self>,
        reading: Reading,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        let changed = self.changed.subscribe();
        let reader = Reader {
            run: self,
            changed,
            next: 0,
            sent: 0,
            reading,
            broken: false,
        };
        stream::unfold(reader, |mut reader| async {
            reader.next().await.map(|item| (item, reader))
        })
    }
}

struct Reader {
    run: Arc<Run>,
    changed: watch::Receiver<usize>,
    next: usize,
    sent: usize,
    reading: Reading,
    broken: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        loop {
            if self.broken {
                return None;
            }
            if self
                .reading
                .drop_after
                .is_some_and(|count| self.sent >= count)
            {
                self.broken = true;
                // Let what was sent leave before the connection breaks.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                return Some(Err(std::io::Error::other("dropped on command")));
            }
            self.changed.mark_unchanged();
            let (frame, closed) = {
                let log = self.run.log();
                (log.frames.get(self.next).cloned(), log.closed)
            };
            let Some(frame) = frame else {
                if closed {
                    return None;
                }
                tokio::select! {
                    changed = self.changed.changed() => if changed.is_err() {
                        return None;
                    },
                    () = killed_and_silent(&self.run) => return Some(Ok(self.run.idle_ping())),
                }
                continue;
            };
            self.next += 1;
            let old = frame
                .seq
                .is_some_and(|seq| seq <= self.reading.starting_after);
            if old || (frame.ping && !self.reading.pings) {
                continue;
            }
            self.sent += 1;
            return Some(Ok(frame.bytes));
        }
    }
}

/// Who reads a killed run hears only that the server is there.
async fn killed_and_silent(run: &Run) {
    run.killed.cancelled().await;
    tokio::time::sleep(run.ping_every).await;
}
