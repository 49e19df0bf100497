//! Requests that wait in Letta although no turn of ours does: asked about in the room again.
//!
//! The journal may be older than Letta's memory, or the request was made in Letta's own app. Such a
//! conversation takes no message before somebody has decided, so the room is asked without being
//! asked.

use std::time::Duration;

use letta_client::{BackendError, BackendInfo};
use tracing::{debug, info};

use super::{Inner, Turns};
use crate::{
    journal::{AgentStatus, ApprovalRecord, ConversationKey, JournalError, TurnId},
    time::Millis,
};

/// The wait before Letta is asked again who it is, unless it comes back before.
const ASK_AGAIN: Duration = Duration::from_secs(30);

impl Turns {
    /// Looks once, in every place that is known, for what waits there. Goes on beside everything
    /// else.
    pub(super) fn look_for_requests(&self) {
        let turns = self.clone();
        self.inner.ctx.tasks.spawn(async move {
            let Some(info) = turns.inner.once_letta_answers().await else {
                return;
            };
            if !info.approvals {
                return;
            }
            tokio::select! {
                looked = turns.look_everywhere() => match looked {
                    Ok(found) => debug!(found, "checked for pending approval requests"),
                    Err(failure) => debug!(
                        error = &failure as &dyn std::error::Error,
                        "could not fetch pending approval requests; they are found with the next message"
                    ),
                },
                () = turns.inner.ctx.tasks.closing() => {}
            }
        });
    }

    async fn look_everywhere(&self) -> Result<usize, Failure> {
        let mut found = 0;
        for place in self.inner.places()? {
            if self.inner.ask_again(&place).await? {
                found += 1;
                self.wake(&place);
            }
        }
        Ok(found)
    }
}

/// Why it could not be found out what waits.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Letta(#[from] BackendError),
}

impl Inner {
    /// What Letta is, as soon as it answers. `None`: the process is about to end.
    pub(super) async fn once_letta_answers(&self) -> Option<BackendInfo> {
        let mut returns = self.ctx.letta_reconnects.clone();
        loop {
            returns.mark_unchanged();
            tokio::select! {
                info = self.ctx.backend.info() => if let Ok(info) = info {
                    return Some(info);
                },
                () = self.ctx.tasks.closing() => return None,
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN) => {}
                Ok(()) = returns.changed() => {}
                () = self.ctx.tasks.closing() => return None,
            }
        }
    }

    /// Every place in which agents were spoken to, and the home of every agent.
    pub(super) fn places(&self) -> Result<Vec<ConversationKey>, JournalError> {
        let journal = &self.ctx.journal;
        let homes = journal.agents()?.into_values().filter_map(|agent| {
            let room = agent
                .room
                .filter(|_| agent.joined && agent.status == AgentStatus::Live)?;
            Some(ConversationKey {
                agent: agent.id,
                room,
                thread: None,
            })
        });
        let mut places = Vec::new();
        for place in journal.conversations()? {
            // An agent that Letta no longer has is not asked about.
            if !self.is_known_gone(&place.agent)? {
                places.push(place);
            }
        }
        places.extend(homes);
        places.sort();
        places.dedup();
        Ok(places)
    }

    /// Asks a room about what waits in its conversation, unless a turn runs there. A place whose
    /// conversation Letta does not know has nothing that waits.
    async fn ask_again(&self, place: &ConversationKey) -> Result<bool, Failure> {
        let journal = &self.ctx.journal;
        if journal.open_turn(place)?.is_some() {
            return Ok(false);
        }
        let Some(destination) = self.known_destination(place)? else {
            return Ok(false);
        };
        let request = match self.ctx.backend.pending_approval(&destination).await {
            Ok(Some(request)) => request,
            Ok(None) | Err(BackendError::NotFound { .. }) => return Ok(false),
            Err(failure) => return Err(failure.into()),
        };
        let now = Millis::now();
        let id = TurnId::named(&["found", place.agent.as_str(), request.id.as_str()]);
        let until = now.plus(self.ctx.config.approval_timeout);
        let approval = ApprovalRecord {
            found: true,
            ..ApprovalRecord::new(&request, id.approval_message(), until)
        };
        let began = journal.begin_found(place, id, approval, now)?;
        journal.durable().await?;
        if began {
            info!(agent.id = %place.agent, room.id = %place.room, "found a pending approval request");
        }
        Ok(began)
    }
}
