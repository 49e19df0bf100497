//! A part of a turn, told to who listens; and the ids of parts.

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    backend::{StopReason, TurnEvent, TurnStream},
    error::{BackendError, MissingResource},
    id::{ConversationId, ID_BYTES_MAX, RunId},
};

/// Between the key of a turn and what tells its later parts apart.
const PART: char = '~';

/// How a part of a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app_server) enum StreamEnd {
    Stop(StopReason),
    /// The conversation is stuck; it goes on under another id.
    Moved(ConversationId),
    /// The server does not know it (any more).
    NotFound(MissingResource, String),
    /// Everything to fix the connection was tried.
    Unreachable {
        url: String,
        why: String,
    },
}

impl StreamEnd {
    pub(super) fn item(&self) -> Result<TurnEvent, BackendError> {
        match self.clone() {
            Self::Stop(stop) => Ok(TurnEvent::Finished(stop)),
            Self::Moved(to) => Err(BackendError::Moved { to }),
            Self::NotFound(missing, what) => Err(BackendError::NotFound { missing, what }),
            Self::Unreachable { url, why } => Err(BackendError::Unreachable {
                url,
                source: why.into(),
            }),
        }
    }
}

/// The id of the run that answers an input, made of the input's key.
///
/// The server's own run ids begin anew with each of its starts; a key is for ever.
pub(in crate::app_server::runtime) fn derive_run_id(key: &str) -> Option<RunId> {
    let kept = key.chars().take(ID_BYTES_MAX / 2).map(|c| match c {
        _ if c.is_ascii_graphic() && !"/?#%\"\\<>~".contains(c) => c,
        _ => '_',
    });
    kept.collect::<String>().parse().ok()
}

/// The first part's run of any part's run, and the call whose decision began that part.
pub(in crate::app_server::runtime) fn split(run: &RunId) -> (Option<RunId>, Option<&str>) {
    match run.as_str().split_once(PART) {
        Some((first, call)) => (first.parse().ok(), Some(call)),
        None => (Some(run.clone()), None),
    }
}

/// The run of the part that a decision on `call` begins.
pub(in crate::app_server::runtime) fn segment_run(first: &RunId, call: &str) -> Option<RunId> {
    let room = ID_BYTES_MAX.saturating_sub(first.as_str().len() + PART.len_utf8());
    let call: String = call.chars().take(room).collect();
    format!("{first}{PART}{call}").parse().ok()
}

#[derive(Debug)]
pub(super) struct TurnSegment {
    pub(super) run: RunId,
    pub(super) log: Vec<TurnEvent>,
    pub(super) ending: Option<StreamEnd>,
    listeners: Vec<mpsc::UnboundedSender<Result<TurnEvent, BackendError>>>,
}

impl TurnSegment {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            run,
            log: Vec::new(),
            ending: None,
            listeners: Vec::new(),
        }
    }

    /// The channel has no limit of its own: a turn's limits are that of all it can hold.
    pub(super) fn open_stream(&mut self) -> TurnStream {
        let (to, from) = mpsc::unbounded_channel();
        for event in &self.log {
            let _ = to.send(Ok(event.clone()));
        }
        match &self.ending {
            Some(ending) => {
                let _ = to.send(ending.item());
            }
            None => self.listeners.push(to),
        }
        Box::pin(UnboundedReceiverStream::new(from))
    }

    pub(super) fn end(&mut self, ending: StreamEnd) {
        for listener in self.listeners.drain(..) {
            let _ = listener.send(ending.item());
        }
        self.ending = Some(ending);
    }

    pub(super) fn emit(&mut self, event: TurnEvent) {
        self.listeners
            .retain(|listener| listener.send(Ok(event.clone())).is_ok());
        match (self.log.last_mut(), event) {
            // Who listens later has not lost anything.
            (_, TurnEvent::Interrupted | TurnEvent::Reconnected) => {}
            // The last one says how long it takes from now on.
            (Some(TurnEvent::Retrying { .. }), TurnEvent::Retrying { kind, delay }) => {
                self.log.pop();
                self.log.push(TurnEvent::Retrying { kind, delay });
            }
            (
                Some(TurnEvent::Text {
                    message: last,
                    delta: so_far,
                }),
                TurnEvent::Text { message, delta },
            )
            | (
                Some(TurnEvent::Reasoning {
                    message: last,
                    delta: so_far,
                }),
                TurnEvent::Reasoning { message, delta },
            ) if *last == message => so_far.push_str(&delta),
            (_, event) => self.log.push(event),
        }
    }
}
