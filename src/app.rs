//! The composition root: the only place where concrete parts meet.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use letta_client::{
    Backend,
    demo::{Demo, DemoServer},
    rest::{RestBackend, RestConfig},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};
use tracing::{info, warn};

use crate::{
    agents::{
        Agents,
        discovery::{Discovery, Nudges, Outlook},
        provision::{Provisioner, Taste},
        registry::Registry,
    },
    appservice::{self, Desk, Pings},
    cli::{ExitCode, Failure},
    commands::{Clerk, ClerkDesk, alarm},
    config::{BackendKind, Config},
    errands::ErrandRunner,
    journal::{Journal, JournalLimits},
    matrix::{Actor, Homeserver, Network, StartupError},
    outbox::Outbox,
    time::Millis,
    turns::{
        Surroundings, Turns,
        inbox::{Errands, Inbox},
        route::Rules,
    },
    workers::Tasks,
};

/// How long turns in flight may go on after the process was told to end. Container runtimes kill
/// after 10 seconds.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long tasks may take to put away their things after that.
const STOP_MAX: Duration = Duration::from_secs(1);
/// How often an end is looked for while turns are in flight.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// The wait before a homeserver that is not there yet is tried again.
const HOMESERVER_RETRY: Duration = Duration::from_secs(2);
/// How often the homeserver is asked to reach us before that counts as failed.
const PINGS_MAX: u32 = 3;
/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Runs the bridge until it is told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let demo = start_demo(&config).await?;
    let backend = backend(&config, demo.as_ref())?;
    let tasks = Tasks::default();
    let bridge = Bridge::build(&config, backend, &tasks)?;
    let listener = listen(&config).await?;
    let server = tokio::spawn(serve(listener, bridge.desk.clone(), tasks.clone()));

    let began = tokio::select! {
        began = bridge.begin(&config) => began,
        () = signals.terminated() => Ok(()),
    };
    if began.is_ok() && *bridge.desk.ready.borrow() {
        signals.terminated().await;
        drain(&bridge, &tasks, &mut signals).await;
    }
    tasks.stop();
    if tokio::time::timeout(STOP_MAX, tasks.ended()).await.is_err() {
        warn!("some tasks did not end in time; what they did goes on at the next start");
    }
    server.await.context("the listener failed")??;
    bridge.desk.journal.durable().await?;
    if let Some(demo) = demo {
        demo.shutdown().await;
    }
    info!("ended");
    began
}

/// The way to Letta of this configuration; `None` if the bridge brings the agents along.
pub fn letta(config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    match config.letta.backend {
        BackendKind::Rest => Ok(Some(backend(config, None)?)),
        BackendKind::Demo => Ok(None),
    }
}

async fn start_demo(config: &Config) -> anyhow::Result<Option<DemoServer>> {
    if config.letta.backend != BackendKind::Demo {
        return Ok(None);
    }
    let server = DemoServer::start(Demo::new(), SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .context("cannot start the scripted agents")?;
    info!(
        url = server.url(),
        "the agents are scripted: this is a demo, not a model"
    );
    Ok(Some(server))
}

fn backend(config: &Config, demo: Option<&DemoServer>) -> anyhow::Result<Arc<dyn Backend>> {
    let mut rest = match demo {
        Some(server) => RestConfig::new(server.url()),
        None => RestConfig::new(config.letta.url.as_str()),
    };
    if demo.is_none() {
        rest.api_key = config
            .letta
            .api_key
            .as_ref()
            .map(|key| key.expose().to_owned());
    }
    Ok(Arc::new(
        RestBackend::new(rest).context("cannot make a client for Letta")?,
    ))
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let (hostname, port) = (config.appservice.hostname.as_str(), config.appservice.port);
    TcpListener::bind((hostname, port)).await.map_err(|error| {
        let mend = "Is another bridge running? Change `appservice.port`, or stop it.";
        Failure::new(
            ExitCode::NoListener,
            format_args!("cannot listen on {hostname}:{port}: {error}. {mend}"),
        )
        .into()
    })
}

async fn serve(listener: TcpListener, desk: Desk, tasks: Tasks) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(%address, "listening for the homeserver");
    axum::serve(listener, appservice::router(desk))
        .with_graceful_shutdown(async move { tasks.closing().await })
        .await?;
    Ok(())
}

/// Lets what has begun come to its end, for a while.
async fn drain(bridge: &Bridge, tasks: &Tasks, signals: &mut Signals) {
    info!(
        turns = bridge.turns.in_flight(),
        "ending; turns in flight go on for a moment"
    );
    tasks.close();
    let quiet = async {
        while bridge.turns.in_flight() > 0 || bridge.outbox.rooms_waiting() > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    };
    tokio::select! {
        () = quiet => {}
        () = tokio::time::sleep(DRAIN_MAX) => {
            info!(turns = bridge.turns.in_flight(), "turns are cut off; they go on at the next start");
        }
        () = signals.terminated() => {}
    }
}

/// The parts, put together.
struct Bridge {
    desk: Desk,
    homeserver: Homeserver,
    outbox: Outbox,
    turns: Turns,
    errands: ErrandRunner,
    ready: watch::Sender<bool>,
    tasks: Tasks,
    around: Surroundings,
    rules: Rules,
    discovery: std::sync::Mutex<Option<Discovery>>,
    outlook: watch::Receiver<Outlook>,
}

impl Bridge {
    fn build(config: &Config, backend: Arc<dyn Backend>, tasks: &Tasks) -> anyhow::Result<Self> {
        let identity = config.identity()?;
        let limits = JournalLimits {
            keep_events: config.journal.keep_events,
            ..JournalLimits::default()
        };
        let journal = Journal::open(&config.journal.path, limits)?;
        let homeserver = Homeserver::new(
            Arc::new(Network::new()?),
            config.homeserver.address.as_str(),
            config.appservice.as_token.clone(),
        );
        let outbox = Outbox::new(
            journal.clone(),
            homeserver.clone(),
            identity.clone(),
            tasks.clone(),
        )?;
        let taste = Taste {
            identity: identity.clone(),
            permissions: config.permissions.clone(),
            space: config.space.clone(),
            rooms: config.rooms.clone(),
        };
        let provisioner = Arc::new(Provisioner::new(
            Registry::load(journal.clone())?,
            homeserver.clone(),
            journal.clone(),
            taste,
        ));
        let (letta_left, letta_returns) = watch::channel(0);
        let nudges = Nudges::default();
        let discovery = Discovery::new(
            Arc::clone(&backend),
            Arc::clone(&provisioner),
            config.letta.clone(),
            config.rooms.removal_grace,
            nudges.clone(),
            letta_left,
            tasks.clone(),
        );
        let agents = Agents {
            provisioner,
            backend: Arc::clone(&backend),
            letta: config.letta.clone(),
            nudges,
        };
        let around = Surroundings {
            journal: journal.clone(),
            outbox: outbox.clone(),
            homeserver: homeserver.clone(),
            backend,
            identity: identity.clone(),
            letta_returns,
            tasks: tasks.clone(),
        };
        let turns = Turns::new(around.clone());
        let rules = Rules {
            identity: identity.clone(),
            permissions: config.permissions.clone(),
        };
        let clerk = Clerk::new(ClerkDesk {
            journal: journal.clone(),
            outbox: outbox.clone(),
            homeserver: homeserver.clone(),
            agents: agents.clone(),
            turns: turns.clone(),
            rules: rules.clone(),
            outlook: discovery.outlook(),
            appservice_id: config.appservice.id.clone(),
            began: Millis::now(),
        });
        let errands = ErrandRunner::new(journal.clone(), clerk, tasks.clone());
        let (ready, is_ready) = watch::channel(false);
        let desk = Desk {
            hs_token: config.appservice.hs_token.clone(),
            identity,
            journal,
            arrived: Arc::new(Notify::new()),
            provision: Arc::new(agents),
            pings: Pings::default(),
            ready: is_ready,
        };
        let outlook = discovery.outlook();
        Ok(Self {
            desk,
            homeserver,
            outbox,
            turns,
            errands,
            ready,
            tasks: tasks.clone(),
            around,
            rules,
            discovery: std::sync::Mutex::new(Some(discovery)),
            outlook,
        })
    }

    /// Checks that homeserver and bridge know and reach each other, then sets everything going.
    async fn begin(&self, config: &Config) -> anyhow::Result<()> {
        self.meet_homeserver(config).await?;
        self.outbox.resume()?;
        self.turns.resume()?;
        self.errands.resume()?;
        let errands: Arc<dyn Errands> = Arc::new(self.errands.clone());
        let inbox = Inbox::new(
            self.around.clone(),
            self.turns.clone(),
            errands,
            self.rules.clone(),
            Arc::clone(&self.desk.arrived),
        );
        self.tasks.spawn(inbox.serve());
        let discovery = self
            .discovery
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(discovery) = discovery {
            self.tasks.spawn(discovery.serve());
        }
        self.tasks.spawn(alarm::serve(
            self.desk.journal.clone(),
            self.outbox.clone(),
            self.rules.identity.clone(),
            self.outlook.clone(),
            self.tasks.clone(),
        ));
        self.tasks
            .spawn(prune(self.desk.journal.clone(), self.tasks.clone()));
        self.ready.send_replace(true);
        info!(
            "ready: {} speaks for the agents of Letta",
            self.rules.identity.bot()
        );
        Ok(())
    }

    async fn meet_homeserver(&self, config: &Config) -> anyhow::Result<()> {
        let mut told = false;
        loop {
            match self.check(config).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_transient() => {
                    if !told {
                        warn!(
                            error = &failure as &dyn std::error::Error,
                            "waiting for the homeserver"
                        );
                        told = true;
                    }
                    tokio::time::sleep(HOMESERVER_RETRY).await;
                }
                Err(failure) => {
                    let code = exit_code(&failure);
                    return Err(Failure::new(code, chain(&failure)).into());
                }
            }
        }
    }

    async fn check(&self, config: &Config) -> Result<(), StartupError> {
        let bot = self.rules.identity.bot();
        self.homeserver.check_versions().await?;
        self.homeserver.check_identity(bot).await?;
        let displayname = &config.appservice.bot.displayname;
        let named = self
            .homeserver
            .set_display_name(Actor::Bot, bot, displayname)
            .await;
        named.map_err(|source| StartupError::Other {
            what: "name the bot",
            source,
        })?;
        if let Some(avatar) = &config.appservice.bot.avatar {
            let set = self.homeserver.set_avatar(Actor::Bot, bot, avatar).await;
            set.map_err(|source| StartupError::Other {
                what: "give the bot its avatar",
                source,
            })?;
        }
        self.ping(config).await
    }

    /// Lets the homeserver call us, and makes sure that it was us it called.
    async fn ping(&self, config: &Config) -> Result<(), StartupError> {
        let mut attempt = 1;
        loop {
            let transaction = format!("start-{}-{attempt}", Millis::now().0);
            match self
                .homeserver
                .check_ping(&config.appservice.id, &transaction)
                .await
            {
                Ok(Some(_)) if !self.desk.pings.heard(&transaction) => {
                    return Err(StartupError::NotReachable {
                        code: "somebody else answered at that address".to_owned(),
                    });
                }
                Ok(_) => return Ok(()),
                Err(failure @ StartupError::NotReachable { .. }) if attempt < PINGS_MAX => {
                    warn!(error = &failure as &dyn std::error::Error, "trying again");
                    tokio::time::sleep(HOMESERVER_RETRY).await;
                    attempt += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn exit_code(failure: &StartupError) -> ExitCode {
    match failure {
        StartupError::NotReachable { .. } => ExitCode::Unreachable,
        StartupError::WrongUser { .. } => ExitCode::WrongUser,
        StartupError::TokenRefused
        | StartupError::RegistrationDiffers
        | StartupError::OtherService { .. }
        | StartupError::NoHomeserver { .. } => ExitCode::AsToken,
        StartupError::Other { .. } => ExitCode::Other,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
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

/// The signals that ask a process to end.
struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn terminated(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
