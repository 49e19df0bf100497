//! A small real server that speaks Letta's REST API, with scripted agents. Never a model.
//!
//! It is there so that a newcomer without Letta sees the bridge work, and so that tests meet real
//! sockets, real frames and real failures. It says of itself that it is a demo: in its agents'
//! names, in their descriptions, in its version.
//!
//! What an agent answers is decided by directives in the message, see [`script`]. What goes wrong
//! is decided by a test, through the [`Demo`] handle or over HTTP:
//!
//! | route | what it does |
//! |---|---|
//! | `GET /_demo/records` | the [`Records`] |
//! | `GET`, `PATCH /_demo/faults` | shows, changes the [`Faults`] |
//! | `POST /_demo/agents` `{"name":…}` | adds an agent |
//! | `PATCH /_demo/agents/{agent}` `{"name":…}` | renames it |
//! | `DELETE /_demo/agents/{agent}` | makes it vanish |
//!
//! Everything is in memory and within limits: [`RUNS_MAX`], [`RUN_BYTES_MAX`], [`MESSAGES_MAX`],
//! [`CONVERSATIONS_MAX`], [`KEYS_MAX`], [`RECORDS_MAX`], [`PICTURES_MAX`], [`FRAMES_MAX`].
#![expect(
    clippy::disallowed_methods,
    reason = "a server by itself, which dates and runs what it makes as Letta does"
)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::{CancellationToken, DropGuard};

mod faults;
mod frames;
mod ids;
mod listener;
mod play;
mod routes;
mod run;
pub mod script;
mod world;

pub use faults::{Accepted, Faults, RECORDS_MAX, Records};
pub use run::FRAMES_MAX;
pub use world::{CONVERSATIONS_MAX, KEYS_MAX, MESSAGES_MAX, PICTURES_MAX, RUN_BYTES_MAX, RUNS_MAX};

use crate::{
    backend::{Agent, Image},
    id::AgentId,
};

/// Between two pings of a silent run, as V1 does it.
pub const PING_EVERY: Duration = Duration::from_secs(20);

/// How many agents a demo has if nobody asks for another number.
pub const AGENTS_DEFAULT: usize = 3;

/// The demo, and the handle that commands it. Clones are the same demo.
#[derive(Clone, Debug)]
pub struct Demo {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<world::World>,
    stalled: watch::Sender<bool>,
    ping_every: Duration,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, world::World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when no stall is commanded.
    async fn stall_over(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
    }
}

/// Chooses what a [`Demo`] is like before it starts.
#[derive(Clone, Debug)]
pub struct DemoBuilder {
    agents: usize,
    password: Option<String>,
    ping_every: Duration,
}

impl DemoBuilder {
    /// How many agents there are at the beginning. Default: [`AGENTS_DEFAULT`].
    #[must_use]
    pub fn agents(mut self, count: usize) -> Self {
        self.agents = count;
        self
    }

    /// Every request but health needs `Authorization: Bearer PASSWORD`. Default: none does.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// How long a run is silent before it pings. Default: [`PING_EVERY`].
    #[must_use]
    pub fn ping_every(mut self, every: Duration) -> Self {
        self.ping_every = every;
        self
    }

    /// The demo.
    pub fn build(self) -> Demo {
        Demo {
            shared: Arc::new(Shared {
                world: Mutex::new(world::World::new(self.agents, self.password)),
                stalled: watch::Sender::new(false),
                ping_every: self.ping_every,
            }),
        }
    }
}

impl Default for Demo {
    fn default() -> Self {
        Self::new()
    }
}

impl Demo {
    /// A demo with [`AGENTS_DEFAULT`] agents that does nothing wrong.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Chooses before it starts.
    pub fn builder() -> DemoBuilder {
        DemoBuilder {
            agents: AGENTS_DEFAULT,
            password: None,
            ping_every: PING_EVERY,
        }
    }

    /// Its routes, to be served wherever one likes.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Its agents, oldest first.
    pub fn agents(&self) -> Vec<Agent> {
        self.shared
            .world()
            .agents
            .iter()
            .map(|entry| entry.agent.clone())
            .collect()
    }

    /// Makes another agent. The `n`th agent ever made has the same id in every demo.
    pub fn add_agent(&self, name: &str) -> Option<Agent> {
        self.shared.world().add_agent(Some(name))
    }

    /// Renames an agent. `false`: there is none of this id.
    pub fn rename_agent(&self, id: &AgentId, name: &str) -> bool {
        self.shared.world().rename_agent(id.as_str(), name)
    }

    /// Makes an agent vanish with its conversations. `false`: there is none of this id.
    pub fn remove_agent(&self, id: &AgentId) -> bool {
        self.shared.world().remove_agent(id.as_str())
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        self.shared.world().faults.clone()
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let stall = {
            let mut world = self.shared.world();
            change(&mut world.faults);
            world.faults.stall
        };
        self.shared.stalled.send_replace(stall);
    }

    /// Does to what runs now what `kill -9` of a V1 server does to it: it stays `running` for ever, holds its conversation until it
    /// is cancelled, and what its first step was about is in no history. Connections are broken by [`DemoServer::shutdown`].
    pub fn kill_runs(&self) {
        self.shared.world().kill_runs();
    }

    /// Listing agents answers this status, or works again.
    pub fn set_listing_failing(&self, status: Option<u16>) {
        self.set_faults(|faults| faults.listing_status = status);
    }

    /// Sending answers this status, or works again.
    pub fn set_sends_failing(&self, status: Option<u16>) {
        self.set_faults(|faults| faults.send_status = status);
    }

    /// Accepts sends and streams nothing; `false` lets the stalled runs go on.
    pub fn set_stall(&self, stall: bool) {
        self.set_faults(|faults| faults.stall = stall);
    }

    /// Breaks the connection of one stream after so many frames: the next one, or, if breaks are
    /// commanded already, the one after those.
    pub fn drop_connection_after(&self, frames: usize) {
        self.set_faults(|faults| faults.drop_after.push_back(frames));
    }

    /// The next so many sends are told that another run is in progress.
    pub fn fail_next_sends_busy(&self, times: u32) {
        self.set_faults(|faults| faults.busy = times);
    }

    /// Asks for this password from now on, or for none.
    pub fn set_password(&self, password: Option<&str>) {
        self.shared.world().password = password.map(str::to_owned);
    }

    /// What was counted since the start.
    pub fn records(&self) -> Records {
        self.shared.world().records.clone()
    }

    /// The last pictures that were shown to its agents, oldest first.
    pub fn pictures(&self) -> Vec<Image> {
        self.shared.world().pictures.iter().cloned().collect()
    }

    /// How often a prompt with this key was accepted.
    pub fn sends(&self, key: &str) -> usize {
        let world = self.shared.world();
        world
            .records
            .sends
            .iter()
            .filter(|one| one.otid == key)
            .count()
    }

    /// How many runs a prompt with this key has started. More than one is an answer given twice.
    pub fn runs(&self, key: &str) -> usize {
        let world = self.shared.world();
        let mut runs: Vec<_> = world
            .records
            .sends
            .iter()
            .filter(|one| one.otid == key)
            .map(|one| &one.run)
            .collect();
        runs.sort_unstable();
        runs.dedup();
        runs.len()
    }

    /// How often a route was asked, by its name in [`Records::requests`].
    pub fn request_count(&self, route: &str) -> u64 {
        self.shared
            .world()
            .records
            .requests
            .get(route)
            .copied()
            .unwrap_or_default()
    }
}

/// A demo that listens. Dropping it stops it and breaks its connections; the [`Demo`] and its runs
/// go on, and may be served again.
#[derive(Debug)]
pub struct DemoServer {
    demo: Demo,
    address: SocketAddr,
    stop: DropGuard,
    task: tokio::task::JoinHandle<()>,
}

impl DemoServer {
    /// Listens on `address`; port 0 is any free one.
    ///
    /// Fails if the address cannot be had, or is not one of this machine's loopback addresses:
    /// whoever reaches the demo may command it.
    pub async fn start(demo: Demo, address: SocketAddr) -> std::io::Result<Self> {
        if !address.ip().is_loopback() {
            let why = format!("the demo listens on loopback only, not on {address}");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let listener = listener::Breakable {
            listener,
            stop: stop.clone(),
        };
        let router = demo.router();
        let task = tokio::spawn(async move {
            tokio::select! {
                result = axum::serve(listener, router) => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the demo has stopped listening");
                    }
                }
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self {
            demo,
            address,
            stop: stop.drop_guard(),
            task,
        })
    }

    /// Where it listens, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle that commands it.
    pub fn demo(&self) -> &Demo {
        &self.demo
    }

    /// Stops listening, and returns when the port is free again.
    pub async fn shutdown(self) {
        drop(self.stop);
        // A panic of the task has been reported; here it is as stopped as it will ever be.
        let _ = self.task.await;
    }
}
