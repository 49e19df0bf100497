//! Agents that are not asked for a while: the account has no credits, or a key or a limit of the model provider refuses them all.
//!
//! While an agent is paused, its prompts wait, whatever room they come from. One of them is tried after [`PAUSE_MIN`]; each time
//! that fails the pause doubles, up to [`PAUSE_MAX`]. The first that succeeds ends it, and so does an admin. Pauses are in the
//! journal: a restart asks no sooner.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use letta_client::AgentId;
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use crate::{
    journal::{Journal, JournalError, NoticeText, PauseRecord},
    time::Millis,
};

/// How long an agent is paused at first.
pub const PAUSE_MIN: Duration = Duration::from_mins(1);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_hours(1);

/// See the module's documentation.
pub struct Pauses {
    journal: Journal,
    states: Mutex<HashMap<AgentId, State>>,
    changed: watch::Sender<u64>,
    /// How often an admin has had an agent asked again.
    resumes: AtomicU64,
}

struct State {
    record: PauseRecord,
    resume_at: Instant,
    /// Whether a prompt is being tried.
    trying: bool,
}

/// Whether an agent may be asked.
pub(super) enum PauseCheck {
    /// It may. `Some`: it is paused, and this is the one try.
    Proceed(Option<TrialRequest>),
    /// It is paused.
    Wait(PauseRecord, Instant),
}

/// The one question to an agent that is paused. Dropped without a word, another may be tried at once.
pub(super) struct TrialRequest {
    pauses: Arc<Pauses>,
    agent: AgentId,
}

impl Drop for TrialRequest {
    fn drop(&mut self) {
        if let Some(state) = self.pauses.states().get_mut(&self.agent) {
            state.trying = false;
        }
        self.pauses.tell();
    }
}

impl Pauses {
    /// The pauses that an earlier process has left.
    pub(super) fn load(journal: Journal) -> Result<Self, JournalError> {
        let (now, present) = (Millis::now(), Instant::now());
        let state = |record: PauseRecord| {
            let left = record.until.since(now).min(PAUSE_MAX);
            let state = State {
                resume_at: present + left,
                trying: false,
                record,
            };
            (state.record.agent.clone(), state)
        };
        let states = journal.pauses()?.into_iter().map(state).collect();
        Ok(Self {
            journal,
            states: Mutex::new(states),
            changed: watch::Sender::default(),
            resumes: AtomicU64::new(0),
        })
    }

    /// Whether an agent may be asked now.
    pub(super) fn permit(self: &Arc<Self>, agent: &AgentId) -> PauseCheck {
        let mut states = self.states();
        let Some(state) = states.get_mut(agent) else {
            return PauseCheck::Proceed(None);
        };
        let now = Instant::now();
        if state.trying {
            // Whatever comes of it is heard as a change.
            return PauseCheck::Wait(state.record.clone(), now + PAUSE_MAX);
        }
        if state.resume_at > now {
            return PauseCheck::Wait(state.record.clone(), state.resume_at);
        }
        state.trying = true;
        let (pauses, agent) = (Arc::clone(self), agent.clone());
        PauseCheck::Proceed(Some(TrialRequest { pauses, agent }))
    }

    /// The agent is not asked for a while; for longer than the last time if it is paused already.
    pub(super) fn pause(
        &self,
        agent: &AgentId,
        reason: NoticeText,
        at_least: Option<Duration>,
    ) -> Result<(), JournalError> {
        let now = Millis::now();
        let record = {
            let mut states = self.states();
            let (since, tries) = match states.get(agent) {
                // Others that were under way when the pause began do not make it longer.
                Some(state) if !state.trying => return Ok(()),
                Some(state) => (state.record.since, state.record.tries + 1),
                None => (now, 1),
            };
            let doubled = PAUSE_MIN.saturating_mul(1 << (tries - 1).min(10));
            let span = doubled.max(at_least.unwrap_or_default()).min(PAUSE_MAX);
            let record = PauseRecord {
                agent: agent.clone(),
                reason: reason.sentence,
                code: reason.code,
                since,
                until: now.plus(span),
                tries,
            };
            let state = State {
                record: record.clone(),
                resume_at: Instant::now() + span,
                trying: false,
            };
            states.insert(agent.clone(), state);
            record
        };
        warn!(agent.id = %agent, code = record.code, tries = record.tries, "an agent is paused");
        self.journal.set_pause(&record)?;
        self.tell();
        Ok(())
    }

    /// The agent has answered, or an admin says that it will. `false`: it was not paused.
    pub(super) fn lift(&self, agent: &AgentId) -> Result<bool, JournalError> {
        if self.states().remove(agent).is_none() {
            return Ok(false);
        }
        info!(agent.id = %agent, "an agent is no longer paused");
        self.journal.clear_pause(agent)?;
        self.tell();
        Ok(true)
    }

    /// The pause of an agent, if it is paused.
    pub fn find(&self, agent: &AgentId) -> Option<PauseRecord> {
        self.states().get(agent).map(|state| state.record.clone())
    }

    /// An admin says that the agent is to be asked again. `false`: it was not paused.
    pub(super) fn resume(&self, agent: &AgentId) -> Result<bool, JournalError> {
        self.resumes.fetch_add(1, Ordering::Relaxed);
        self.lift(agent)
    }

    /// How often an admin has had an agent asked again since the process began.
    pub(super) fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// The agents that are paused.
    pub fn all(&self) -> Vec<PauseRecord> {
        self.states()
            .values()
            .map(|state| state.record.clone())
            .collect()
    }

    /// Counts the changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn states(&self) -> MutexGuard<'_, HashMap<AgentId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
