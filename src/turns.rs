//! Turns: what people say to agents, and what agents answer.
//!
//! Each conversation has a queue in the journal and at most one turn in flight. A turn takes all
//! that its first sender has waiting at the head of its queue, so a burst is answered together. It survives any crash: what it answers
//! is written down before Letta is asked, Letta is asked under the event's own id, and what the
//! room hears goes through the outbox. A tool that needs a person's decision ends a chapter of the
//! turn: the room is asked with a card, and the turn goes on when somebody has decided.
//!
//! ```text
//! inbox ── route ──┬─ Prompt ──> queue of the conversation ──> run ──> reply ──> say ──> outbox
//!                  ├─ Command, Reaction, Membership ──> errands of the room ──> decide
//!                  ├─ Edit, Redaction ──> what still waits is changed or withdrawn
//!                  └─ Ignore(why)
//! ```
//!
//! [`route`], [`reply`], `card` and [`say`] are pure; `run` does the waiting.

mod ask;
mod card;
pub mod decide;
mod envelope;
mod fold;
mod found;
pub mod gesture;
mod growing;
pub mod inbox;
mod listen;
mod open;
mod overheard;
mod people;
mod prompt;
pub mod reply;
pub mod rights;
pub mod route;
mod run;
pub mod say;
mod stage;
mod standing;
pub mod status;
mod stops;
#[cfg(test)]
mod timeline;
mod typing;
pub mod words;

use std::sync::Arc;

use letta_client::Backend;
use ruma::RoomId;
use tokio::sync::{Semaphore, watch};
use tracing::error;

use self::{overheard::Elsewhere, people::People, stops::Stops};
use crate::{
    config,
    identity::Identity,
    journal::{ConversationKey, Journal, JournalError},
    matrix::Homeserver,
    outbox::Outbox,
    workers::{Panic, Tasks, Work, Workers},
};

/// The most turns that stream at once; more wait for a place.
const STREAMS_MAX: usize = 256;

/// What turns need from the rest of the bridge.
#[derive(Clone)]
pub struct Surroundings {
    /// The durable record.
    pub journal: Journal,
    /// What must be said.
    pub outbox: Outbox,
    /// The homeserver.
    pub homeserver: Homeserver,
    /// Letta.
    pub backend: Arc<dyn Backend>,
    /// Who is who.
    pub identity: Identity,
    /// Who may do what.
    pub permissions: config::Permissions,
    /// Counts how often Letta came back after it could not be reached.
    pub letta_returns: watch::Receiver<u64>,
    /// How turns are held here.
    pub habits: config::Turns,
    /// When agents have to ask, where nothing else was chosen.
    pub mode: config::Mode,
    /// The tasks to belong to.
    pub tasks: Tasks,
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Inner>,
}

struct Inner {
    around: Surroundings,
    people: People,
    workers: Workers<ConversationKey>,
    streams: Semaphore,
    stops: Stops,
    elsewhere: Elsewhere,
    /// Counts the verdicts of people.
    verdicts: watch::Sender<u64>,
}

impl Turns {
    /// Nothing runs yet. Call [`Turns::resume`] when the homeserver is ready.
    pub fn new(around: Surroundings) -> Self {
        let people = People::new(around.homeserver.clone(), around.identity.clone());
        let workers = Workers::new(around.tasks.clone());
        let streams = Semaphore::new(STREAMS_MAX);
        Self {
            inner: Arc::new(Inner {
                around,
                people,
                workers,
                streams,
                stops: Stops::default(),
                elsewhere: Elsewhere::default(),
                verdicts: watch::Sender::default(),
            }),
        }
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for conversation in self.inner.around.journal.busy_conversations()? {
            self.wake(&conversation);
        }
        self.look_for_requests();
        self.listen_to_others();
        Ok(())
    }

    /// Looks after a conversation in which something may wait.
    pub fn wake(&self, conversation: &ConversationKey) {
        self.inner.workers.wake(conversation.clone(), self.clone());
    }

    /// Somebody has come into the room or gone.
    pub fn people_changed(&self, room: &RoomId) {
        self.inner.people.changed(room);
    }

    /// How many conversations have a turn in flight.
    pub fn in_flight(&self) -> usize {
        self.inner.workers.awake()
    }
}

impl Work<ConversationKey> for Turns {
    type Error = JournalError;

    async fn run(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        self.inner.work(conversation).await
    }

    /// Ends the turn that panicked; the next one goes on.
    async fn set_aside(
        &self,
        conversation: &ConversationKey,
        panic: &Panic,
    ) -> Result<(), JournalError> {
        let around = &self.inner.around;
        let Some(turn) = around.journal.open_turn(conversation)? else {
            return Ok(());
        };
        error!(
            turn.id = %turn.id, room.id = %conversation.room, agent.id = %conversation.agent, %panic,
            "turn set aside after repeated panics"
        );
        let notice = self
            .inner
            .voice(&turn)
            .remark(&turn, "set aside", &words::set_aside());
        around.journal.end_turn(&turn, &[notice])?;
        around.journal.durable().await?;
        around.outbox.wake(&conversation.room);
        Ok(())
    }
}
