//! A run that has no stream: looked at until its record says how it ended.

use std::time::Duration;

use super::{Source, Turn};
use crate::{
    backend::StopReason,
    error::{Advice, BackendError},
    id::RunId,
    rest::{
        api::SharedApi,
        decoder::{failure, stop_of_reason},
        failure::RequestTarget,
        wire::{Message, RunEntry},
    },
};

/// How long the rest of a stream is waited for once it has told how the turn ended. What follows is only that nothing does.
pub const END_GRACE: Duration = Duration::from_secs(2);

/// The most failures in a row while polling.
pub const POLL_FAILURES_MAX: u32 = 8;

pub(super) struct Poll {
    delay: Duration,
    failures: u32,
}

pub(super) async fn get_run(api: &SharedApi, run: &RunId) -> Result<RunEntry, BackendError> {
    let answer = api.call(api.get(&["v1", "runs", run.as_str()])).await?;
    let entry: RunEntry = answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Run(run)))?
        .read()?;
    if entry.id.as_deref() != Some(run.as_str()) {
        return Err(BackendError::unexpected_answer(
            "not the record of this run",
        ));
    }
    Ok(entry)
}

pub(super) async fn get_messages(
    api: &SharedApi,
    run: &RunId,
) -> Result<Vec<Message>, BackendError> {
    let request = api
        .get(&["v1", "runs", run.as_str(), "messages"])
        .query(&[("order", "asc")]);
    let answer = api.call(request).await?;
    answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Run(run)))?
        .messages()
}

impl Poll {
    pub(super) fn new(api: &SharedApi) -> Self {
        Self {
            delay: api.config.poll_delay,
            failures: 0,
        }
    }

    /// Waits, longer each time.
    async fn pause(&mut self, first: Duration) {
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 3 / 2).min(first * 10);
    }
}

impl Turn {
    /// Looks whether the run has ended, and tells what it has stored.
    pub(super) async fn poll(&mut self) -> Result<(), BackendError> {
        let (Source::Poll(poll), Some(run)) = (&mut self.source, self.decoder.run().cloned())
        else {
            let detail = "a stream without a run cannot be polled".to_owned();
            return Err(BackendError::Protocol { detail });
        };
        let first = self.api.config.poll_delay;
        let looked = async {
            let entry = get_run(&self.api, &run).await?;
            if !entry.has_ended()? {
                return Ok::<_, BackendError>(None);
            }
            Ok(Some((entry, get_messages(&self.api, &run).await?)))
        };
        match looked.await {
            Ok(Some((entry, messages))) => {
                let ended = ended(&entry);
                let complete = !matches!(ended, StopReason::Cancelled | StopReason::Failed(_));
                let mut events = Vec::new();
                self.decoder.replay(messages, complete, &mut events);
                if ended == StopReason::NeedsApproval {
                    events.extend(self.decoder.take_approval_request());
                }
                let stop = self.decoder.breached().unwrap_or(ended);
                self.finish(events, stop).await;
            }
            Ok(None) => {
                poll.failures = 0;
                poll.pause(first).await;
                self.note_connection(true);
                self.end_if_dead().await?;
            }
            Err(error) => {
                poll.failures += 1;
                if error.advice() != Advice::Retry || poll.failures > POLL_FAILURES_MAX {
                    return Err(error);
                }
                if !self.interrupted {
                    // It is told before it is waited for.
                    self.note_connection(false);
                    return Ok(());
                }
                poll.pause(first).await;
            }
        }
        Ok(())
    }
}

/// How a run ended, by its own record.
fn ended(entry: &RunEntry) -> StopReason {
    let word = entry.stop_reason.as_deref();
    match entry.status.as_deref() {
        Some("cancelled") => StopReason::Cancelled,
        Some("failed") => {
            StopReason::Failed(failure(word.unwrap_or("error"), "the run has failed"))
        }
        _ => stop_of_reason(word.unwrap_or("end_turn")),
    }
}
