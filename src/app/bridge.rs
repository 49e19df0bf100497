//! The parts of the bridge, put together, and set going once homeserver and bridge know each other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use letta_client::Backend;
use system::condition::Condition;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::{backlog, meet};
use crate::{
    agents::{
        Agents,
        discovery::{Discovery, Nudges, Outlook},
        namesakes,
        provision::{Provisioner, Taste},
        registry::Registry,
    },
    appservice::{Desk, Pings, StartEcho},
    commands::{Clerk, ClerkDesk, alarm, paused},
    config::Config,
    errands::ErrandRunner,
    identity::Identity,
    journal::{Journal, JournalLimits},
    matrix::Homeserver,
    outbox::Outbox,
    time::Millis,
    turns::{
        Surroundings, Turns,
        inbox::{Errands, Inbox},
        route::Rules,
    },
    workers::Tasks,
};

/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// The bridge.
pub(super) struct Bridge {
    /// What the homeserver calls.
    pub(super) desk: Desk,
    /// The turns.
    pub(super) turns: Turns,
    around: Surroundings,
    errands: ErrandRunner,
    agents: Agents,
    rules: Rules,
    ready: watch::Sender<bool>,
    /// Taken when it is set going.
    discovery: Mutex<Option<Discovery>>,
    outlook: watch::Receiver<Outlook>,
    /// When an event was admitted last, before this start.
    last_admission: Option<Millis>,
}

impl Bridge {
    pub(super) fn build(
        config: &Config,
        backend: Arc<dyn Backend>,
        homeserver: Homeserver,
        database: Option<Condition>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let identity = config.identity()?;
        let permissions = config.permissions.clone();
        let rules = Rules {
            identity: identity.clone(),
            permissions,
        };
        let (letta_left, letta_returns) = watch::channel(0);
        let around = surroundings(
            config,
            backend,
            homeserver,
            identity.clone(),
            letta_returns,
            tasks,
        )?;
        let last_admission = around.journal.last_admission()?;
        let agents = agents(config, &around)?;
        let discovery = Discovery::new(
            agents.clone(),
            config.rooms.removal_grace,
            letta_left,
            tasks.clone(),
        );
        let turns = Turns::new(around.clone())?;
        let arrived = Arc::new(Notify::new());
        let outlook = discovery.outlook();
        let clerk = Clerk::new(ClerkDesk {
            journal: around.journal.clone(),
            outbox: around.outbox.clone(),
            homeserver: around.homeserver.clone(),
            agents: agents.clone(),
            turns: turns.clone(),
            rules: rules.clone(),
            outlook: outlook.clone(),
            arrived: Arc::clone(&arrived),
            appservice_id: config.appservice.id.clone(),
            began: Millis::now(),
        });
        let (ready, is_ready) = watch::channel(false);
        let desk = Desk {
            hs_token: config.appservice.hs_token.clone(),
            identity,
            journal: around.journal.clone(),
            arrived,
            provision: Arc::new(agents.clone()),
            pings: Pings::default(),
            start_echo: StartEcho::default(),
            ready: is_ready,
            conditions: std::iter::once(around.journal.condition().clone())
                .chain(database)
                .collect(),
        };
        let errands = ErrandRunner::new(around.journal.clone(), clerk, tasks.clone());
        let discovery = Mutex::new(Some(discovery));
        Ok(Self {
            desk,
            turns,
            around,
            errands,
            agents,
            rules,
            ready,
            discovery,
            outlook,
            last_admission,
        })
    }

    /// Checks that homeserver and bridge know and reach each other, then sets everything going.
    pub(super) async fn begin(&self, config: &Config) -> anyhow::Result<()> {
        meet::homeserver(
            &self.around.homeserver,
            config,
            self.desk.identity.bot(),
            &self.desk.pings,
        )
        .await?;
        self.around.outbox.resume()?;
        self.turns.resume()?;
        self.errands.resume()?;
        let tasks = &self.around.tasks;
        let errands: Arc<dyn Errands> = Arc::new(self.errands.clone());
        let inbox = Inbox::new(
            self.around.clone(),
            self.turns.clone(),
            errands,
            self.rules.clone(),
            Arc::clone(&self.desk.arrived),
        );
        tasks.spawn_singleton("inbox", inbox.serve());
        if let Some(discovery) = self
            .discovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            tasks.spawn_singleton("agent discovery", discovery.serve());
        }
        let names = namesakes::serve(self.agents.clone(), tasks.clone());
        tasks.spawn_singleton("agent names", names);
        let alarm = alarm::serve(
            self.around.journal.clone(),
            self.around.outbox.clone(),
            self.rules.identity.clone(),
            self.outlook.clone(),
            tasks.clone(),
        );
        tasks.spawn_singleton("Letta alarm", alarm);
        let pauses = paused::serve(
            self.around.journal.clone(),
            self.around.outbox.clone(),
            self.rules.clone(),
            Arc::clone(self.turns.pauses()),
            tasks.clone(),
        );
        tasks.spawn_singleton("pause alarm", pauses);
        let (journal, closing) = (self.around.journal.clone(), tasks.clone());
        tasks.spawn_singleton("journal flush", async move {
            tokio::select! {
                () = journal.flusher_ended() => {}
                () = closing.closing() => {}
            }
        });
        let prune = prune(self.around.journal.clone(), tasks.clone());
        tasks.spawn_singleton("journal pruning", prune);
        // Where nothing was ever admitted, nothing was missed.
        if let Some(last) = self.last_admission {
            let homeserver = self.around.homeserver.clone();
            let catch_up = backlog::catch_up(homeserver, self.desk.clone(), last, tasks.clone());
            tasks.spawn(catch_up);
        }
        self.ready.send_replace(true);
        info!(
            "ready: {} speaks for the agents of Letta",
            self.rules.identity.bot()
        );
        Ok(())
    }

    /// Tells `/ready` that the bridge ends.
    pub(super) fn not_ready(&self) {
        self.ready.send_replace(false);
    }

    /// Whether nothing that has begun is unfinished.
    pub(super) fn is_quiet(&self) -> bool {
        self.turns.in_flight() == 0 && self.around.outbox.rooms_waiting() == 0
    }
}

fn surroundings(
    config: &Config,
    backend: Arc<dyn Backend>,
    homeserver: Homeserver,
    identity: Identity,
    letta_returns: watch::Receiver<u64>,
    tasks: &Tasks,
) -> anyhow::Result<Surroundings> {
    let limits = JournalLimits {
        keep_events: config.journal.keep_events,
        ..JournalLimits::default()
    };
    let journal = Journal::open(&config.journal.path, limits)?;
    let outbox = Outbox::new(
        journal.clone(),
        homeserver.clone(),
        identity.clone(),
        tasks.clone(),
    )?;
    let tasks = tasks.clone();
    Ok(Surroundings {
        journal,
        outbox,
        homeserver,
        backend,
        identity,
        permissions: config.permissions.clone(),
        letta_returns,
        habits: config.turns.clone(),
        mode: config.letta.mode,
        tasks,
    })
}

fn agents(config: &Config, around: &Surroundings) -> anyhow::Result<Agents> {
    let taste = Taste {
        identity: around.identity.clone(),
        permissions: config.permissions.clone(),
        space: config.space.clone(),
        rooms: config.rooms.clone(),
        bot_name: Some(config.appservice.bot.displayname.clone()),
    };
    let provisioner = Provisioner::new(
        Registry::load(around.journal.clone())?,
        around.homeserver.clone(),
        around.journal.clone(),
        taste,
    );
    Ok(Agents {
        provisioner: Arc::new(provisioner),
        backend: Arc::clone(&around.backend),
        letta: config.letta.clone(),
        nudges: Nudges::default(),
        unknown: Arc::default(),
    })
}

async fn prune(journal: Journal, tasks: Tasks) {
    while !tasks.is_closing() {
        match journal.prune(Millis::now()) {
            Ok(0) => {}
            Ok(removed) => {
                info!(removed, "old records are forgotten");
                tokio::task::yield_now().await;
                continue;
            }
            Err(failure) => warn!(error = &failure as &dyn std::error::Error, "cannot prune"),
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = tasks.closing() => {}
        }
    }
}
