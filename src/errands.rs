//! What is to be done in rooms beside talking to agents: commands, reactions and invitations, room by
//! room, in order, each until it is done.

use std::{sync::Arc, time::Duration};

use letta_client::BackendError;
use ruma::OwnedRoomId;
use tracing::{error, warn};

use crate::{
    commands::Clerk,
    journal::{Errand, Journal, JournalError},
    matrix::MatrixError,
    turns::{inbox::Errands, route::IncomingEvent},
    workers::{Panic, Tasks, Work, Workers},
};

/// How often an errand is tried before it is given up.
const ATTEMPTS_MAX: u32 = 5;
/// The wait before an errand is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Why an errand was not done.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The homeserver did not do its part.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// Letta could not be asked.
    #[error(transparent)]
    Letta(#[from] BackendError),
}

impl ErrandError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Journal(_) | Self::Letta(_) => true,
            Self::Matrix(error) => error.is_transient(),
        }
    }
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct ErrandRunner {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    clerk: Clerk,
    workers: Workers<OwnedRoomId>,
    tasks: Tasks,
}

impl ErrandRunner {
    /// Nothing runs yet. Call [`ErrandRunner::resume`] when the homeserver is ready.
    pub fn new(journal: Journal, clerk: Clerk, tasks: Tasks) -> Self {
        let workers = Workers::new(tasks.clone());
        Self {
            inner: Arc::new(Inner {
                journal,
                clerk,
                workers,
                tasks,
            }),
        }
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for room in self.inner.journal.rooms_with_errands()? {
            self.wake(room);
        }
        let clerk = self.inner.clerk.clone();
        self.inner.tasks.spawn(async move {
            if let Err(failure) = clerk.leave_admin_room_at_start().await {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "cannot find out whether agents are in the homeserver's admin room"
                );
            }
        });
        let (clerk, tasks) = (self.inner.clerk.clone(), self.inner.tasks.clone());
        self.inner
            .tasks
            .spawn(async move { clerk.watch_replaced_rooms(tasks).await });
        Ok(())
    }

    async fn run_all(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        let journal = &self.inner.journal;
        while let Some((admission, errand)) = journal.next_errand(room)? {
            if !self.run_one(&errand).await? {
                return Ok(());
            }
            journal.finish_errand(room, admission)?;
            journal.durable().await?;
        }
        Ok(())
    }

    /// Does one errand. `false`: the process is about to end before it is done.
    async fn run_one(&self, errand: &Errand) -> Result<bool, JournalError> {
        let Ok(event) = serde_json::from_str::<IncomingEvent>(errand.event.get()) else {
            return Ok(true);
        };
        let clerk = &self.inner.clerk;
        for attempt in 1..=ATTEMPTS_MAX {
            let done = match event.event_type.as_str() {
                "m.room.member" => clerk.membership(&event).await,
                "m.room.tombstone" => clerk.room_replaced(&event).await,
                "m.reaction" => clerk.reaction(&event).await,
                _ => clerk.command(&event, errand.admitted_at).await,
            };
            let failure = match done {
                Ok(()) => return Ok(true),
                // The journal is waited for without a limit: nothing can be said without it.
                Err(ErrandError::Journal(failure)) => return Err(failure),
                Err(failure) => failure,
            };
            if !failure.is_transient() || attempt == ATTEMPTS_MAX {
                warn!(
                    event.id = %event.event_id, room.id = %event.room_id,
                    error = &failure as &dyn std::error::Error, attempt, "room job failed"
                );
                clerk.report_failure(&event).await?;
                return Ok(true);
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_PAUSE) => {}
                () = self.inner.tasks.closing() => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Work<OwnedRoomId> for ErrandRunner {
    type Error = JournalError;

    async fn run(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        self.run_all(room).await
    }

    async fn set_aside(&self, room: &OwnedRoomId, panic: &Panic) -> Result<(), JournalError> {
        let journal = &self.inner.journal;
        let Some((admission, errand)) = journal.next_errand(room)? else {
            return Ok(());
        };
        if let Ok(event) = serde_json::from_str::<IncomingEvent>(errand.event.get()) {
            error!(event.id = %event.event_id, room.id = %room, %panic, "room job set aside after repeated panics");
            self.inner.clerk.report_failure(&event).await?;
        }
        journal.finish_errand(room, admission)?;
        journal.durable().await
    }
}

impl Errands for ErrandRunner {
    fn wake(&self, room: OwnedRoomId) {
        self.inner.workers.wake(room, self.clone());
    }
}
