//! What is to be done in rooms beside talking to agents: commands, reactions and invitations, room by
//! room, in order, each until it is done.

use std::{sync::Arc, time::Duration};

use letta_client::BackendError;
use ruma::OwnedRoomId;
use tracing::{error, warn};

use crate::{
    commands::CommandHandler,
    journal::{Journal, JournalError, RoomJob},
    matrix::MatrixError,
    turns::{inbox::WakeRoomJobs, route::IncomingEvent},
    workers::{Panic, Tasks, Work, Workers},
};

/// How often a room job is tried before it is given up.
const ATTEMPTS_MAX: u32 = 5;
/// The wait before a room job is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Why a room job was not done.
#[derive(Debug, thiserror::Error)]
pub enum RoomJobError {
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

impl RoomJobError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Journal(_) | Self::Letta(_) => true,
            Self::Matrix(error) => error.is_transient(),
        }
    }
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct RoomJobWorker {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    handler: CommandHandler,
    workers: Workers<OwnedRoomId>,
    tasks: Tasks,
}

impl RoomJobWorker {
    /// Nothing runs yet. Call [`RoomJobWorker::resume`] when the homeserver is ready.
    pub fn new(journal: Journal, handler: CommandHandler, tasks: Tasks) -> Self {
        let workers = Workers::new(tasks.clone());
        Self {
            inner: Arc::new(Inner {
                journal,
                handler,
                workers,
                tasks,
            }),
        }
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for room in self.inner.journal.rooms_with_jobs()? {
            self.wake(room);
        }
        let handler = self.inner.handler.clone();
        self.inner.tasks.spawn(async move {
            if let Err(failure) = handler.leave_homeserver_admin_room().await {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "cannot find out whether agents are in the homeserver's admin room"
                );
            }
        });
        let (handler, tasks) = (self.inner.handler.clone(), self.inner.tasks.clone());
        self.inner
            .tasks
            .spawn(async move { handler.watch_replaced_rooms(tasks).await });
        Ok(())
    }

    async fn run_all(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        let journal = &self.inner.journal;
        while let Some((admission, job)) = journal.next_room_job(room)? {
            if !self.run_one(&job).await? {
                return Ok(());
            }
            journal.finish_room_job(room, admission)?;
            journal.durable().await?;
        }
        Ok(())
    }

    /// Does one room job. `false`: the process is about to end before it is done.
    async fn run_one(&self, job: &RoomJob) -> Result<bool, JournalError> {
        let Ok(event) = serde_json::from_str::<IncomingEvent>(job.event.get()) else {
            return Ok(true);
        };
        let handler = &self.inner.handler;
        for attempt in 1..=ATTEMPTS_MAX {
            let done = match event.event_type.as_str() {
                "m.room.member" => handler.membership(&event).await,
                "m.room.tombstone" => handler.room_replaced(&event).await,
                "m.reaction" => handler.reaction(&event).await,
                _ => handler.command(&event, job.admitted_at).await,
            };
            let failure = match done {
                Ok(()) => return Ok(true),
                // The journal is waited for without a limit: nothing can be said without it.
                Err(RoomJobError::Journal(failure)) => return Err(failure),
                Err(failure) => failure,
            };
            if !failure.is_transient() || attempt == ATTEMPTS_MAX {
                warn!(
                    event.id = %event.event_id, room.id = %event.room_id,
                    error = &failure as &dyn std::error::Error, attempt, "room job failed"
                );
                handler.report_failure(&event).await?;
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

impl Work<OwnedRoomId> for RoomJobWorker {
    type Error = JournalError;

    async fn run(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        self.run_all(room).await
    }

    async fn set_aside(&self, room: &OwnedRoomId, panic: &Panic) -> Result<(), JournalError> {
        let journal = &self.inner.journal;
        let Some((admission, job)) = journal.next_room_job(room)? else {
            return Ok(());
        };
        if let Ok(event) = serde_json::from_str::<IncomingEvent>(job.event.get()) {
            error!(event.id = %event.event_id, room.id = %room, %panic, "room job set aside after repeated panics");
            self.inner.handler.report_failure(&event).await?;
        }
        journal.finish_room_job(room, admission)?;
        journal.durable().await
    }
}

impl WakeRoomJobs for RoomJobWorker {
    fn wake(&self, room: OwnedRoomId) {
        self.inner.workers.wake(room, self.clone());
    }
}
