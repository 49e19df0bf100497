//! Looks at Letta again and again, and has done in Matrix what differs.
//!
//! Twice a second by default, but never more than `SHARE_MAX` of the time is spent on looking: a
//! slow Letta is asked less often. One slow look alone does not count, for that is how one looks
//! that comes while Letta makes an agent. When nothing has changed, the homeserver hears nothing, and the
//! records are not even looked at.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use letta_client::{Agent, AgentId, BackendError};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tracing::{info, warn};

use super::{
    Agents,
    plan::{RemovalHold, diff_agents, steps},
};
use crate::{
    journal::{AgentRecord, AgentStatus, JournalError},
    time::Millis,
    workers::Tasks,
};

/// One part in this many of the time may be spent on looking: 5 %.
const SHARE_MAX: u32 = 20;
/// The longest wait before a Letta that failed is asked again.
const FAILED_WAIT_MAX: Duration = Duration::from_secs(5);
/// The most agents that are set up at once.
const PROVISIONS_MAX: usize = 8;
/// The wait before an agent that could not be set up is tried again; it doubles each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_mins(1);
/// How often the log tells how far a long setting-up has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What an admin or the homeserver asks of discovery.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryTrigger {
    /// Look now.
    pub look: Arc<Notify>,
    /// Whoever is missing is gone: an admin has said so.
    pub accept_removals: Arc<std::sync::atomic::AtomicBool>,
}

/// Discovery as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryStatus {
    /// Why Letta could not be asked the last time, if it could not.
    pub failure: Option<String>,
    /// Whether too many agents are missing, see [`RemovalHold`].
    pub hold: Option<RemovalHold>,
    /// How long the last look took.
    pub took: Duration,
    /// How many looks there were.
    pub looks: u64,
}

/// See the module's documentation.
pub struct Discovery {
    agents: Agents,
    grace: Duration,
    letta_reconnects: watch::Sender<u64>,
    status: watch::Sender<DiscoveryStatus>,
    tasks: Tasks,
    /// Agents that could not be set up: how often, and when to try again.
    retries: HashMap<AgentId, (u32, Instant)>,
    /// The space could not be set up: how often, and when to try again.
    space_retry: Option<(u32, Instant)>,
    settled: Option<Settled>,
}

/// A look after which there was nothing to do: as long as Letta and the records stay the same,
/// there is nothing to do again.
struct Settled {
    agents: Vec<Agent>,
    revision: u64,
}

impl Discovery {
    /// Nothing is looked at yet.
    pub fn new(
        agents: Agents,
        grace: Duration,
        letta_reconnects: watch::Sender<u64>,
        tasks: Tasks,
    ) -> Self {
        let (status, _) = watch::channel(DiscoveryStatus::default());
        let retries = HashMap::new();
        Self {
            agents,
            grace,
            letta_reconnects,
            status,
            tasks,
            retries,
            space_retry: None,
            settled: None,
        }
    }

    /// What others can see of it.
    pub fn subscribe_status(&self) -> watch::Receiver<DiscoveryStatus> {
        self.status.subscribe()
    }

    /// Looks until the process is about to end.
    pub async fn serve(mut self) {
        let mut failures = 0;
        while !self.tasks.is_closing() {
            let began = Instant::now();
            let listed = self.agents.backend.agents().await;
            let took = began.elapsed();
            let wait = match listed {
                Ok(agents) => {
                    let usual = took.min(self.status.borrow().took);
                    self.back_again(took);
                    failures = 0;
                    if let Err(failure) = self.reconcile(agents).await {
                        warn!(
                            error = &failure as &dyn std::error::Error,
                            "could not store agents"
                        );
                    }
                    self.agents.letta.poll_interval.max(usual * (SHARE_MAX - 1))
                }
                Err(failure) => {
                    self.failed(&failure, took);
                    failures += 1;
                    let wait = self
                        .agents
                        .letta
                        .poll_interval
                        .saturating_mul(1 << failures.min(6));
                    wait.min(FAILED_WAIT_MAX)
                        .max(self.agents.letta.poll_interval)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.agents.discovery_trigger.look.notified() => {}
                () = self.tasks.closing() => {}
            }
        }
    }

    fn back_again(&self, took: Duration) {
        let mut was_away = false;
        self.status.send_modify(|status| {
            was_away = status.failure.take().is_some();
            status.took = took;
            status.looks += 1;
        });
        if was_away {
            info!("Letta is back");
            self.letta_reconnects.send_modify(|count| *count += 1);
        }
    }

    fn failed(&self, failure: &BackendError, took: Duration) {
        let text = format!("{failure} [{}]", failure.code());
        self.status.send_modify(|status| {
            if status.failure.as_ref() != Some(&text) {
                warn!(
                    code = failure.code(),
                    error = failure as &dyn std::error::Error,
                    "could not list agents; no agent is removed"
                );
            }
            status.failure = Some(text);
            status.took = took;
            status.looks += 1;
        });
    }

    async fn reconcile(&mut self, mut agents: Vec<Agent>) -> Result<(), JournalError> {
        agents.retain(|agent| self.agents.letta.selects(agent));
        let accept = self
            .agents
            .discovery_trigger
            .accept_removals
            .swap(false, Ordering::Relaxed);
        let registry = &self.agents.provisioner.registry;
        let revision = registry.revision();
        let same = |settled: &Settled| settled.revision == revision && settled.agents == agents;
        if !accept && self.settled.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.settled = None;
        let comparison = registry
            .with_all(|known| diff_agents(known, &agents, Millis::now(), self.grace, accept));
        self.note_hold(comparison.hold);
        for record in comparison.changed {
            registry.set(record)?;
        }
        self.ensure_space().await;
        for id in comparison.expired {
            if let Err(failure) = self.agents.provisioner.retire(&id).await {
                warn!(agent.id = %id, error = &failure as &dyn std::error::Error, "cannot retire an agent (yet)");
            }
        }
        self.provision_all().await;
        self.settle(agents, revision);
        Ok(())
    }

    /// Remembers a look that has changed nothing and has left nothing to try again or to wait for.
    fn settle(&mut self, agents: Vec<Agent>, revision: u64) {
        let registry = &self.agents.provisioner.registry;
        let waits = |record: &AgentRecord| matches!(record.status, AgentStatus::Gone { .. });
        let nothing_left = registry.revision() == revision
            && self.retries.is_empty()
            && self.space_retry.is_none()
            && self.status.borrow().hold.is_none()
            && !registry.with_all(|known| known.values().any(waits));
        self.settled = nothing_left.then_some(Settled { agents, revision });
    }

    fn note_hold(&self, hold: Option<RemovalHold>) {
        self.status.send_if_modified(|status| {
            let changed = status.hold != hold;
            if let (true, Some(hold)) = (changed, hold) {
                warn!(
                    missing = hold.missing,
                    known = hold.known,
                    "too many agents are missing at once; nobody is taken for removed until an \
                     admin says `sync accept-removals`"
                );
            }
            status.hold = hold;
            changed
        });
    }

    async fn ensure_space(&mut self) {
        if self.space_retry.is_some_and(|(_, at)| Instant::now() < at) {
            return;
        }
        let attempts = self.space_retry.map_or(0, |(attempts, _)| attempts);
        self.space_retry = match self.agents.provisioner.ensure_space().await {
            Ok(()) => None,
            Err(failure) => {
                if attempts == 0 {
                    warn!(
                        error = &failure as &dyn std::error::Error,
                        "the space cannot be set up (yet); it is tried again"
                    );
                }
                Some((attempts + 1, Instant::now() + retry_wait(attempts)))
            }
        };
    }

    /// Sets up everybody for whom something is left to do, several at once.
    async fn provision_all(&mut self) {
        let now = Instant::now();
        let due: Vec<AgentId> = self.agents.provisioner.registry.with_all(|known| {
            known
                .values()
                .filter(|record| !steps(record, &self.agents.provisioner.wanted(record)).is_empty())
                .filter(|record| {
                    self.retries
                        .get(&record.id)
                        .is_none_or(|(_, at)| *at <= now)
                })
                .map(|record| record.id.clone())
                .collect()
        });
        if due.is_empty() {
            return;
        }
        let total = due.len();
        let done = AtomicUsize::new(0);
        let began = Instant::now();
        let work = futures_util::stream::iter(due)
            .take_while(|_| std::future::ready(!self.tasks.is_closing()))
            .map(|id| {
                let done = &done;
                let provisioner = &self.agents.provisioner;
                async move {
                    let result = provisioner.provision(&id).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    (id, result)
                }
            })
            .buffer_unordered(PROVISIONS_MAX)
            .collect::<Vec<_>>();
        let results = with_progress(work, &done, total).await;
        let mut failed = 0;
        for (id, result) in results {
            if let Err(failure) = result {
                failed += 1;
                let attempts = self.retries.get(&id).map_or(0, |(attempts, _)| *attempts);
                let wait = retry_wait(attempts);
                if attempts == 0 {
                    warn!(agent.id = %id, error = &failure as &dyn std::error::Error, "an agent cannot be set up (yet)");
                }
                self.retries
                    .insert(id, (attempts + 1, Instant::now() + wait));
            } else {
                self.retries.remove(&id);
            }
        }
        info!(agents = total - failed, failed, took = ?began.elapsed(), "agents are set up");
    }
}

/// How long to wait after so many attempts before.
fn retry_wait(attempts: u32) -> Duration {
    RETRY_MIN
        .saturating_mul(1 << attempts.min(10))
        .min(RETRY_MAX)
}

/// Waits for `work`, telling how far it has come.
async fn with_progress<T>(work: impl Future<Output = T>, done: &AtomicUsize, total: usize) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    loop {
        tokio::select! {
            result = &mut work => return result,
            _ = ticks.tick() => {
                info!("setting up agents: {} of {total}", done.load(Ordering::Relaxed));
            }
        }
    }
}
