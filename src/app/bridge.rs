//! The parts of the bridge, put together, and set going once homeserver and bridge know each other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use letta_client::Backend;
use system::condition::StoreCondition;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::{backlog, startup_checks};
use crate::{
    agents::{
        Agents,
        discovery::{Discovery, DiscoveryStatus, DiscoveryTrigger},
        name_conflicts,
        provision::{ProvisionConfig, Provisioner},
        registry::Registry,
        room_changes,
    },
    appservice::{AppserviceState, Pings, StartEcho},
    commands::{CommandContext, CommandHandler, pause_alert, removal_alert},
    config::Config,
    encryption::{Encryption, RoomsToDecrypt},
    identity::Identity,
    journal::{Journal, JournalLimits},
    matrix::Homeserver,
    outbox::Outbox,
    room_jobs::RoomJobWorker,
    time::Millis,
    tools::{ToolContext, Tools},
    transcription::Transcriber,
    turns::{
        TurnContext, Turns,
        inbox::{Inbox, WakeRoomJobs},
        route::Rules,
    },
    workers::Tasks,
};

/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// The bridge.
pub(super) struct Bridge {
    /// What the homeserver calls.
    pub(super) appservice: AppserviceState,
    /// The turns.
    pub(super) turns: Turns,
    /// What agents do by themselves.
    pub(super) tools: Tools,
    ctx: TurnContext,
    jobs: RoomJobWorker,
    agents: Agents,
    rules: Rules,
    ready: watch::Sender<bool>,
    /// Taken when it is set going.
    discovery: Mutex<Option<Discovery>>,
    discovery_status: watch::Receiver<DiscoveryStatus>,
    /// Taken when it is set going.
    rooms_to_decrypt: Mutex<Option<RoomsToDecrypt>>,
    /// When an event was admitted last, before this start.
    last_admission: Option<Millis>,
}

impl Bridge {
    pub(super) fn build(
        config: &Config,
        backend: Arc<dyn Backend>,
        homeserver: Homeserver,
        database: Option<StoreCondition>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let identity = config.identity()?;
        let permissions = config.permissions.clone();
        let rules = Rules {
            identity: identity.clone(),
            permissions,
        };
        let (letta_reconnects_tx, letta_reconnects) = watch::channel(0);
        let (ctx, rooms_to_decrypt) = turn_context(
            config,
            backend,
            homeserver,
            identity.clone(),
            letta_reconnects,
            tasks,
        )?;
        let last_admission = ctx.journal.last_admission()?;
        let agents = agents(config, &ctx)?;
        let discovery = Discovery::new(
            agents.clone(),
            config.rooms.removal_grace,
            letta_reconnects_tx,
            tasks.clone(),
        );
        let turns = Turns::new(ctx.clone())?;
        let arrived = Arc::new(Notify::new());
        let discovery_status = discovery.subscribe_status();
        let handler = CommandHandler::new(CommandContext {
            journal: ctx.journal.clone(),
            outbox: ctx.outbox.clone(),
            encryption: ctx.encryption.clone(),
            homeserver: ctx.homeserver.clone(),
            agents: agents.clone(),
            turns: turns.clone(),
            rules: rules.clone(),
            discovery_status: discovery_status.clone(),
            arrived: Arc::clone(&arrived),
            appservice_id: config.appservice.id.clone(),
            began: Millis::now(),
        });
        let (ready, is_ready) = watch::channel(false);
        let appservice = AppserviceState {
            hs_token: config.appservice.hs_token.clone(),
            identity,
            journal: ctx.journal.clone(),
            encryption: ctx.encryption.clone(),
            arrived,
            provision: Arc::new(agents.clone()),
            pings: Pings::default(),
            start_echo: StartEcho::default(),
            ready: is_ready,
            conditions: std::iter::once(ctx.journal.condition().clone())
                .chain(database)
                .collect(),
        };
        let tools = tools(config, &ctx, &agents);
        let jobs = RoomJobWorker::new(ctx.journal.clone(), handler, tasks.clone());
        Ok(Self {
            appservice,
            turns,
            tools,
            ctx,
            jobs,
            agents,
            rules,
            ready,
            discovery: Mutex::new(Some(discovery)),
            discovery_status,
            rooms_to_decrypt: Mutex::new(Some(rooms_to_decrypt)),
            last_admission,
        })
    }

    /// Checks that homeserver and bridge know and reach each other, then sets everything going.
    pub(super) async fn begin(&self, config: &Config) -> anyhow::Result<()> {
        startup_checks::homeserver(
            &self.ctx.homeserver,
            config,
            self.appservice.identity.bot(),
            &self.appservice.pings,
        )
        .await?;
        self.ctx.outbox.resume()?;
        self.turns.resume()?;
        self.jobs.resume()?;
        let tasks = &self.ctx.tasks;
        let jobs: Arc<dyn WakeRoomJobs> = Arc::new(self.jobs.clone());
        let inbox = Inbox::new(
            self.ctx.clone(),
            self.turns.clone(),
            jobs,
            self.rules.clone(),
            Arc::clone(&self.appservice.arrived),
        );
        self.begin_decryption(&inbox)?;
        tasks.spawn_essential("inbox", inbox.serve());
        if let Some(discovery) = self
            .discovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            tasks.spawn_essential("agent discovery", discovery.serve());
        }
        self.watch_rooms();
        self.watch_alarms();
        let (journal, closing) = (self.ctx.journal.clone(), tasks.clone());
        tasks.spawn_essential("journal flush", async move {
            tokio::select! {
                () = journal.flusher_ended() => {}
                () = closing.closing() => {}
            }
        });
        let prune = prune(self.ctx.journal.clone(), tasks.clone());
        tasks.spawn_essential("journal pruning", prune);
        // Where nothing was ever admitted, nothing was missed.
        if let Some(last) = self.last_admission {
            let homeserver = self.ctx.homeserver.clone();
            let catch_up =
                backlog::catch_up(homeserver, self.appservice.clone(), last, tasks.clone());
            tasks.spawn(catch_up);
        }
        self.ready.send_replace(true);
        info!(
            "ready: {} speaks for the agents of Letta",
            self.rules.identity.bot()
        );
        Ok(())
    }

    fn begin_decryption(&self, inbox: &Inbox) -> anyhow::Result<()> {
        let rooms = self.rooms_to_decrypt.lock();
        if let Some(rooms) = rooms.unwrap_or_else(PoisonError::into_inner).take() {
            let decryptor = inbox.decryptor().clone();
            decryptor.resume()?;
            self.ctx
                .tasks
                .spawn_essential("decryptor", decryptor.serve(rooms));
        }
        Ok(self.ctx.encryption.begin()?)
    }

    /// Tells admins what only they can fix.
    fn watch_alarms(&self) {
        let tasks = &self.ctx.tasks;
        let alarm = removal_alert::serve(
            self.ctx.journal.clone(),
            self.ctx.outbox.clone(),
            self.rules.identity.clone(),
            self.discovery_status.clone(),
            tasks.clone(),
        );
        tasks.spawn_essential("Letta alarm", alarm);
        let pauses = pause_alert::serve(
            self.ctx.journal.clone(),
            self.ctx.outbox.clone(),
            self.rules.clone(),
            Arc::clone(self.turns.pauses()),
            tasks.clone(),
        );
        tasks.spawn_essential("pause alarm", pauses);
    }

    /// Looks again at what others change: names of people, and rooms that the bridge made.
    fn watch_rooms(&self) {
        let tasks = &self.ctx.tasks;
        let names = name_conflicts::serve(self.agents.clone(), tasks.clone());
        tasks.spawn_essential("agent names", names);
        let rooms = room_changes::serve(self.agents.clone(), tasks.clone());
        tasks.spawn_essential("rooms of agents", rooms);
        let provisioner = Arc::clone(&self.agents.provisioner);
        tasks.spawn(async move { provisioner.show_all_online().await });
    }

    /// Tells `/ready` that the bridge ends.
    pub(super) fn set_not_ready(&self) {
        self.ready.send_replace(false);
    }

    /// Whether nothing that has begun is unfinished.
    pub(super) fn is_idle(&self) -> bool {
        self.turns.in_flight() == 0 && self.ctx.outbox.rooms_waiting() == 0
    }
}

fn turn_context(
    config: &Config,
    backend: Arc<dyn Backend>,
    homeserver: Homeserver,
    identity: Identity,
    letta_reconnects: watch::Receiver<u64>,
    tasks: &Tasks,
) -> anyhow::Result<(TurnContext, RoomsToDecrypt)> {
    let limits = JournalLimits {
        keep_events: config.journal.keep_events,
        ..JournalLimits::default()
    };
    let journal = Journal::open(&config.journal.path, limits)?;
    let (encryption, rooms_to_decrypt) = Encryption::new(
        &config.encryption,
        journal.clone(),
        homeserver.clone(),
        identity.bot(),
        tasks.clone(),
    )?;
    let outbox = Outbox::new(
        journal.clone(),
        homeserver.clone(),
        encryption.clone(),
        identity.clone(),
        tasks.clone(),
    )?;
    let tasks = tasks.clone();
    let ctx = TurnContext {
        journal,
        outbox,
        homeserver,
        encryption,
        backend,
        identity,
        permissions: config.permissions.clone(),
        letta_reconnects,
        config: config.turns.clone(),
        transcriber: Transcriber::new(&config.transcription)?.map(Arc::new),
        mode: config.letta.mode,
        tasks,
    };
    Ok((ctx, rooms_to_decrypt))
}

fn agents(config: &Config, ctx: &TurnContext) -> anyhow::Result<Agents> {
    let provision_config = ProvisionConfig {
        identity: ctx.identity.clone(),
        permissions: config.permissions.clone(),
        space: config.space.clone(),
        rooms: config.rooms.clone(),
        invites_to_rooms: config.invites_to_rooms(),
        bot_has_avatar: config.appservice.bot.avatar.is_some(),
        bot_name: Some(config.appservice.bot.displayname.clone()),
    };
    let provisioner = Provisioner::new(
        Registry::load(ctx.journal.clone())?,
        ctx.homeserver.clone(),
        ctx.encryption.clone(),
        ctx.journal.clone(),
        provision_config,
    );
    Ok(Agents {
        provisioner: Arc::new(provisioner),
        backend: Arc::clone(&ctx.backend),
        letta: config.letta.clone(),
        discovery_trigger: DiscoveryTrigger::default(),
        unknown: Arc::default(),
    })
}

fn tools(config: &Config, ctx: &TurnContext, agents: &Agents) -> Tools {
    Tools::new(ToolContext {
        journal: ctx.journal.clone(),
        homeserver: ctx.homeserver.clone(),
        encryption: ctx.encryption.clone(),
        identity: ctx.identity.clone(),
        agents: Arc::clone(&agents.provisioner),
        config: config.tools.clone(),
    })
}

async fn prune(journal: Journal, tasks: Tasks) {
    while !tasks.is_closing() {
        match journal.prune(Millis::now()) {
            Ok(0) => {}
            Ok(removed) => {
                info!(removed, "pruned old journal records");
                tokio::task::yield_now().await;
                continue;
            }
            Err(failure) => warn!(
                error = &failure as &dyn std::error::Error,
                "could not prune the journal"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = tasks.closing() => {}
        }
    }
}
