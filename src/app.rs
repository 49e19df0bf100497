//! The composition root: the only place where concrete parts meet.

mod backlog;
mod bridge;
mod demo_user;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(not(feature = "embedded"))]
#[path = "app/embedded_disabled.rs"]
mod embedded;
mod letta;
#[cfg(feature = "embedded")]
#[cfg(test)]
mod limits;
mod restart;
mod startup_checks;

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use futures_util::future::select_all;
use system::{
    condition::StoreCondition,
    connections::{self, Connections},
    descriptors, disk,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tracing::{info, warn};

#[cfg(feature = "embedded")]
pub use self::embedded::{homeserver_alone, renew_registration_token, settings};
use self::{bridge::Bridge, embedded::EmbeddedHomeserver, restart::ExitAction};
pub use self::{demo_user::DemoUser, letta::letta};
use crate::{
    appservice,
    cli::{ExitCode, Failure},
    config::Config,
    matrix::{Homeserver, InProcess, Network, Transport},
    tools::mcp,
    workers::Tasks,
};

/// How long turns in flight may go on after the process was told to end. Container runtimes kill
/// after 10 seconds.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long tasks may take to put away their things after that.
const STOP_MAX: Duration = Duration::from_secs(1);
/// How often an end is looked for while turns are in flight.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Runs the bridge, and the homeserver with it if that is its own, until it is told to stop. `commands` are an admin's, for its own
/// homeserver.
pub async fn run(
    mut config: Config,
    demo_user: Option<DemoUser>,
    commands: &[String],
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    prepare();
    let embedded = if config.homeserver.is_embedded() {
        let opened = EmbeddedHomeserver::open(&mut config, demo_user.as_ref());
        Some(Box::pin(opened).await?)
    } else {
        None
    };
    if let Some(embedded) = &embedded {
        embedded.execute(commands).await?;
    }
    let demo = letta::start_demo(&config).await?;
    let backend = letta::backend(&config, demo.as_ref())?;
    let tasks = Tasks::default();
    let homeserver = homeserver(&config, embedded.as_ref())?;
    let database = embedded.as_ref().map(EmbeddedHomeserver::condition);
    let bridge = Bridge::build(&config, backend, homeserver.clone(), database, &tasks)?;
    let mut routes = appservice::router(bridge.appservice.clone());
    if config.tools.mcp {
        routes = routes.merge(mcp::router(bridge.tools.clone()));
    }
    let server = start_server(&config, embedded.as_ref(), routes, &tasks).await?;
    let conditions = &bridge.appservice.conditions;
    let began = tokio::select! {
        began = bridge.begin(&config) => began,
        () = signals.terminated() => Ok(()),
        () = shut_down(embedded.as_ref()) => Ok(()),
        failure = until_fatal(embedded.as_ref(), &tasks, conditions) => Err(failure.into()),
    };
    let mut outcome = Ok(());
    if began.is_ok() && *bridge.appservice.ready.borrow() {
        let told = async {
            welcome(&config, embedded.as_ref(), demo_user.as_ref(), &homeserver).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = told => {}
            () = signals.terminated() => {}
            () = shut_down(embedded.as_ref()) => {}
            failure = until_fatal(embedded.as_ref(), &tasks, conditions) => outcome = Err(failure),
        }
        bridge.set_not_ready();
        if outcome.is_ok() {
            drain(&bridge, &tasks, &mut signals).await;
        }
    }
    tasks.stop();
    if tokio::time::timeout(STOP_MAX, tasks.ended()).await.is_err() {
        warn!("some tasks did not end in time; what they did goes on at the next start");
    }
    if let Ok(served) = tokio::time::timeout(STOP_MAX, server).await {
        served.context("the listener failed")??;
    }
    let durable = bridge.appservice.journal.durable().await;
    let then = match embedded {
        Some(embedded) => embedded.close().await,
        None => ExitAction::End,
    };
    if let Some(demo) = demo {
        demo.shutdown().await;
    }
    info!("ended");
    began?;
    outcome?;
    durable?;
    then.run()
}

/// Takes from the system what a server needs of it.
fn prepare() {
    if let Err(error) = descriptors::raise_soft_limit() {
        warn!(%error, limit = descriptors::soft_limit(), "could not raise the file descriptor limit");
    }
    if let Err(error) = disk::survive_size_limit() {
        warn!(%error, "could not handle SIGXFSZ");
    }
}

/// Waits until the process has to end, because a store or a task that it cannot do without is lost.
async fn until_fatal(
    embedded: Option<&EmbeddedHomeserver>,
    tasks: &Tasks,
    conditions: &[StoreCondition],
) -> Failure {
    tokio::select! {
        // A task may have ended because of the store.
        biased;
        failure = until_lost(conditions) => failure,
        task = failed(embedded, tasks) => task_failed(task),
    }
}

/// Waits until one of these stores has to be opened anew, which only another process can do.
async fn until_lost(conditions: &[StoreCondition]) -> Failure {
    if conditions.is_empty() {
        return std::future::pending().await;
    }
    let each = conditions
        .iter()
        .map(|condition| Box::pin(async move { (condition.name(), condition.until_lost().await) }));
    let ((name, reason), _, _) = select_all(each).await;
    Failure::new(
        ExitCode::StoreLost,
        format_args!(
            "the {name} cannot be written and must be opened anew: {reason}. Start the program again"
        ),
    )
}

/// Writes to standard output. A reader who has gone away is no failure.
fn print_out(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// How the bridge calls the homeserver: in process if it is its own.
fn homeserver(
    config: &Config,
    embedded: Option<&EmbeddedHomeserver>,
) -> anyhow::Result<Homeserver> {
    let transport: Arc<dyn Transport> = match embedded {
        Some(embedded) => Arc::new(InProcess::new(embedded.router())),
        None => Arc::new(Network::new()?),
    };
    let (address, token) = (
        config.homeserver.address.as_str(),
        config.appservice.as_token.clone(),
    );
    Ok(Homeserver::new(transport, address, token))
}

/// Waits until an admin ends the homeserver with a command; for ever if it is not ours.
async fn shut_down(embedded: Option<&EmbeddedHomeserver>) {
    match embedded {
        Some(embedded) => embedded.shut_down().await,
        None => std::future::pending().await,
    }
}

/// Waits until a task has ended that the process cannot do without: its name.
async fn failed(embedded: Option<&EmbeddedHomeserver>, tasks: &Tasks) -> &'static str {
    match embedded {
        Some(embedded) => tokio::select! {
            task = embedded.failed() => task,
            task = tasks.failed() => task,
        },
        None => tasks.failed().await,
    }
}

fn task_failed(task: &str) -> Failure {
    Failure::new(
        ExitCode::TaskFailed,
        format_args!(
            "the task `{task}` ended early, see the log above. Nothing that was acknowledged is lost: start the bridge again"
        ),
    )
}

/// Says where to go from here, once there is something to see.
async fn welcome(
    config: &Config,
    embedded: Option<&EmbeddedHomeserver>,
    demo_user: Option<&DemoUser>,
    homeserver: &Homeserver,
) {
    let Some(embedded) = embedded else { return };
    match demo_user {
        Some(demo_user) => {
            demo_user
                .welcome(config, &embedded.address(), homeserver)
                .await;
        }
        None => embedded.greet(config).await,
    }
}

/// Serves what the homeserver calls: at a port of the bridge, or together with its own homeserver.
#[expect(
    clippy::disallowed_methods,
    reason = "its handle is waited for, and how it ends is how the process ends"
)]
async fn start_server(
    config: &Config,
    embedded: Option<&EmbeddedHomeserver>,
    routes: Router,
    tasks: &Tasks,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    if let Some(embedded) = embedded {
        let served = embedded.serve(config, routes, tasks.clone()).await?;
        return Ok(tokio::spawn(served));
    }
    let limits = config
        .appservice
        .connections
        .limits(descriptors::soft_limit());
    let (listener, connections) = (listen(config).await?, Connections::new(limits));
    Ok(tokio::spawn(serve(
        listener,
        routes,
        connections,
        tasks.clone(),
    )))
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let (hostname, port) = (config.appservice.hostname.as_str(), config.appservice.port);
    TcpListener::bind((hostname, port)).await.map_err(|error| {
        let fix = "Is another bridge running? Change `appservice.port`, or stop it.";
        Failure::new(
            ExitCode::NoListener,
            format_args!("cannot listen on {hostname}:{port}: {error}. {fix}"),
        )
        .into()
    })
}

async fn serve(
    listener: TcpListener,
    routes: Router,
    connections: Connections,
    tasks: Tasks,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let limits = connections.limits();
    info!(
        %address,
        connections_max = limits.connections_max,
        per_address_max = limits.per_address_max,
        "listening for the homeserver"
    );
    let closing = async { tasks.closing().await };
    connections::serve_plain(listener, routes, connections, closing).await;
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
        while !bridge.is_idle() {
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
