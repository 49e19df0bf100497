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
//! [`route`], [`reply`], `card`, [`budget`] and [`say`] are pure; `run` does the waiting. What a turn may ask of Letta is
//! bounded by its [`budget`]; a turn that gets no answer within it is set aside, see [`set_aside`].

mod after;
mod ask;
mod attend;
mod brake;
pub mod budget;
mod card;
pub mod decide;
mod described;
mod envelope;
mod fold;
mod found;
pub mod gesture;
mod growing;
pub mod inbox;
mod last_said;
mod listen;
mod log;
mod model_tags;
mod notice;
mod open;
mod overheard;
mod pause_notice;
pub mod pauses;
mod people;
mod prompt;
pub mod reply;
pub mod rights;
mod room_cache;
pub mod route;
mod run;
pub mod say;
pub mod set_aside;
mod speech;
mod stage;
mod standing;
pub mod status;
mod stops;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeline;
mod typing;
pub mod words;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use letta_client::{AgentId, Backend};
use ruma::RoomId;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tracing::error;

use self::{
    brake::Brake, last_said::LastSaid, overheard::Elsewhere, pauses::Pauses, people::People,
    speech::Speech, stops::Stops,
};
use crate::{
    config,
    identity::Identity,
    journal::{ConversationKey, Journal, JournalError, TurnId},
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
    pauses: Arc<Pauses>,
    speech: Speech,
    last_said: LastSaid,
    brake: Mutex<Brake>,
    /// Conversations in which only braked people wait, and when to look there again.
    timers: Mutex<HashMap<ConversationKey, Instant>>,
    /// The turns that this process has begun or taken up.
    taken_up: Mutex<HashSet<TurnId>>,
    elsewhere: Elsewhere,
    /// Counts the verdicts of people.
    verdicts: watch::Sender<u64>,
}

impl Turns {
    /// Nothing runs yet. Call [`Turns::resume`] when the homeserver is ready.
    pub fn new(around: Surroundings) -> Result<Self, JournalError> {
        let people = People::new(around.homeserver.clone(), around.identity.clone());
        let workers = Workers::new(around.tasks.clone());
        let streams = Semaphore::new(STREAMS_MAX);
        let pauses = Arc::new(Pauses::load(around.journal.clone())?);
        Ok(Self {
            inner: Arc::new(Inner {
                around,
                people,
                workers,
                streams,
                stops: Stops::default(),
                pauses,
                speech: Speech::default(),
                last_said: LastSaid::default(),
                brake: Mutex::default(),
                timers: Mutex::default(),
                taken_up: Mutex::default(),
                elsewhere: Elsewhere::default(),
                verdicts: watch::Sender::default(),
            }),
        })
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for conversation in self.inner.around.journal.busy_conversations()? {
            if let Some(turn) = self.inner.around.journal.open_turn(&conversation)? {
                // A redaction may have come before the homeserver had confirmed what it is about.
                self.watch_suspects(&turn, self.inner.around.identity.bot());
            }
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

    /// Looks after a conversation again later. Whatever comes in meanwhile wakes it sooner.
    fn wake_at(&self, conversation: &ConversationKey, then: Instant) {
        let is_new = {
            let mut timers = self.inner.timers();
            let is_new = timers.get(conversation).is_none_or(|known| then < *known);
            if is_new {
                timers.insert(conversation.clone(), then);
            }
            is_new
        };
        if !is_new {
            return;
        }
        let (turns, conversation) = (self.clone(), conversation.clone());
        self.inner.around.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(then) => {}
                () = turns.inner.around.tasks.closing() => return,
            }
            // An earlier one may have taken its place.
            let is_due = {
                let mut timers = turns.inner.timers();
                let is_due = timers.get(&conversation) == Some(&then);
                if is_due {
                    timers.remove(&conversation);
                }
                is_due
            };
            if is_due {
                turns.wake(&conversation);
            }
        });
    }

    /// Somebody has come into the room or gone, or who may do what there has changed.
    pub fn people_changed(&self, room: &RoomId) {
        self.inner.people.changed(room);
        self.inner.speech.changed(room);
    }

    /// Somebody, perhaps one of ours, has said something.
    pub fn note_said(&self, event: &route::IncomingEvent) {
        self.inner.last_said.note(event);
    }

    /// The agents that are not asked for a while.
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.inner.pauses
    }

    /// Asks an agent that is paused again now. `false`: it is not paused.
    pub fn resume_agent(&self, agent: &AgentId) -> Result<bool, JournalError> {
        self.inner.pauses.resume(agent)
    }

    /// How many conversations have a turn in flight.
    pub fn in_flight(&self) -> usize {
        self.inner.workers.awake()
    }
}

impl Inner {
    fn timers(&self) -> MutexGuard<'_, HashMap<ConversationKey, Instant>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work<ConversationKey> for Turns {
    type Error = JournalError;

    async fn run(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        if let Some(then) = self.inner.work(conversation).await? {
            self.wake_at(conversation, then);
        }
        Ok(())
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
        let reason = words::fault_of_the_bridge();
        let failed = self.inner.failed_record(&turn, &reason)?;
        let text = match &failed {
            Some(failed) => words::prompts_set_aside(&reason, failed.number),
            None => words::set_aside(),
        };
        let notice = self.inner.voice(&turn).remark(&turn, "set aside", &text);
        let waits = self.inner.abandoned_notice(&turn)?;
        let last: Vec<_> = waits.into_iter().chain([notice]).collect();
        match &failed {
            Some(failed) => around.journal.set_aside(&turn, failed, &last)?,
            None => around.journal.end_turn(&turn, &last)?,
        }
        around.journal.durable().await?;
        around.outbox.wake(&conversation.room);
        log::ended(&turn, "set aside", Some(&reason.1));
        Ok(())
    }
}
