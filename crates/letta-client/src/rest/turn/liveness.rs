//! Runs that Letta goes on without: a server that was killed leaves them `running` for ever, takes no other message in their
//! conversation, and streams what they had said with a ping every 20 s.
//!
//! Nothing that it says tells such a run from one whose tool takes long: pings repeat the last `seq_id` in both. So a run is
//! taken for dead when nothing new has come of it for a while after Letta was away; or, if it is not known whether Letta was
//! away, for much longer. A dead run is cancelled, which frees its conversation. If a tool was seen to be called, or anything of
//! the run is stored, the turn has broken off: what a tool has done is not known, and it is never run twice. Else the same
//! prompts can be sent again under other keys, see [`BackendError::RunDied`].

use std::time::Duration;

use tokio::time::Instant;

use super::{Source, Turn, get_messages, get_run};
use crate::{
    backend::{Conversation, StopReason, TurnEvent, TurnFailure},
    error::BackendError,
    failure::FailureKind,
    id::RunId,
    rest::{api::SharedApi, decoder::Decoder, failure::RequestTarget, runs, wire::Nothing},
};

/// How long nothing new may come of a run after Letta was away.
pub const DEAD_AFTER: Duration = Duration::from_secs(45);

/// How long nothing new may come of a run that was taken up again, if Letta was not seen to be away.
pub const DEAD_AFTER_UNSEEN: Duration = Duration::from_mins(10);

/// The code of a turn that broke off because Letta was stopped.
const RUN_DIED: &str = "RUN_DIED";

/// What is known of whether a turn's run lives.
#[derive(Debug)]
pub(super) struct RunLiveness {
    /// The run was known at this moment; `None` while it is new and its first stream goes on.
    began: Instant,
    /// When something new came last.
    news_at: Instant,
    news: usize,
    /// The stream is not the first one.
    is_second: bool,
}

impl RunLiveness {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            news_at: now,
            news: 0,
            is_second: false,
        }
    }

    /// The run was begun before this stream.
    pub(super) fn resumed(&mut self, api: &SharedApi, run: &RunId) {
        self.is_second = true;
        self.began = api.outage.run_started_at(run);
    }

    pub(super) fn stream_lost(&mut self) {
        self.is_second = true;
    }

    pub(super) fn note_progress(&mut self, api: &SharedApi, decoder: &Decoder) {
        if decoder.new_event_count() > self.news {
            self.news = decoder.new_event_count();
            self.news_at = Instant::now();
        }
        if let Some(run) = decoder.run() {
            api.outage.record_run_start(run, self.began);
        }
    }

    /// Whether the run should be looked at.
    fn is_doubtful(&self, api: &SharedApi) -> bool {
        if !self.is_second {
            return false;
        }
        let away = api.outage.back_since_outage(self.began);
        let (since, patience) = match away {
            // Since it was back: while it is away nobody can look.
            Some(back) => (self.news_at.max(back), api.config.dead_after),
            None => (self.news_at, api.config.dead_after_unseen),
        };
        since.elapsed() >= patience
    }
}

impl Turn {
    /// Ends the turn if its run is dead.
    pub(super) async fn end_if_dead(&mut self) -> Result<(), BackendError> {
        let Some(run) = self.decoder.run().cloned() else {
            return Ok(());
        };
        if !self.liveness.is_doubtful(&self.api) {
            return Ok(());
        }
        // If it lives after all, it is not looked at again with every ping.
        self.liveness.news_at = Instant::now();
        let entry = get_run(&self.api, &run).await?;
        if entry.has_ended()? {
            self.source = Source::Poll(super::Poll::new(&self.api));
            return Ok(());
        }
        tracing::info!(run.id = %run, "run is dead (Letta restarted); cancelling it");
        self.cancel(&run).await?;
        let stored = get_messages(&self.api, &run).await?;
        let may_have_acted = self.decoder.has_calls() || !stored.is_empty();
        let mut events = Vec::new();
        self.decoder.replay(stored, false, &mut events);
        if !may_have_acted {
            return Err(BackendError::RunDied { run });
        }
        let stop = StopReason::Failed(TurnFailure {
            code: RUN_DIED.to_owned(),
            detail: "Letta was stopped in the middle of the run".to_owned(),
            kind: FailureKind::Broken,
        });
        self.queue.extend(events.into_iter().map(Ok));
        self.queue.push_back(Ok(TurnEvent::Finished(stop)));
        self.ended = true;
        Ok(())
    }

    async fn cancel(&self, run: &RunId) -> Result<(), BackendError> {
        let agent = self.place.to.agent.as_str();
        let request = match &self.place.to.conversation {
            _ if !self.place.conversations => self
                .api
                .post(&["v1", "agents", agent, "messages", "cancel"]),
            Conversation::Default => {
                // V1 frees its lock on this conversation only five minutes after the run began.
                return runs::cancel_default(&self.api, &self.place.to, Some(run))
                    .await
                    .map(drop);
            }
            Conversation::Own(id) => self
                .api
                .post(&["v1", "conversations", id.as_str(), "cancel"]),
        };
        match self.api.call(request.json(&Nothing {})).await? {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_nothing_to_cancel() => Ok(()),
            Err(refusal) => Err(refusal.into_error(RequestTarget::Run(run))),
        }
    }
}
