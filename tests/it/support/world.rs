//! Everything together: Letta, a homeserver, the bridge with a wire to each neighbour, and Alice, who is the admin.
//!
//! Whatever a test does, at its end the world asks whether the bridge ever logged in or synced, and takes everything
//! down by its own pids. A test that failed gets the ends of all logs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bridge::Bridge;
use super::letta::{Agent, Letta};
use super::person::Person;
use super::process::tail;
use super::room::Room;
use super::server::Homeserver;
use super::synapse::DOMAIN;
use super::wire::Wire;

/// Long enough for what happens at once, on a machine that does a lot besides.
pub const SOON: Duration = Duration::from_secs(15);

/// How many lines of each log a failed test shows.
const TAIL: usize = 40;

pub const ALICE: &str = "@alice:letta.test";
pub const BOT: &str = "@letta:letta.test";
pub const SPACE: &str = "#letta_agents:letta.test";

pub struct World {
    pub alice: Person,
    pub bridge: Bridge,
    pub homeserver: Homeserver,
    pub letta: Letta,
    /// Homeserver to bridge: transactions.
    pub push: Wire,
    /// Bridge to homeserver.
    pub matrix: Wire,
    /// Bridge to Letta.
    pub ask: Wire,
    logs: Vec<PathBuf>,
    dir: TempDir,
}

/// A world that is still being thought of.
#[derive(Default)]
pub struct Plan {
    overrides: Vec<(String, String)>,
    permissions: Option<Vec<(String, String)>>,
}

impl Plan {
    /// Overrides a key of the configuration: `ROOMS__REMOVAL_GRACE` is `rooms.removal_grace`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Who may do what, instead of what `init` wrote.
    #[must_use]
    pub fn permissions(mut self, permissions: &[(&str, &str)]) -> Self {
        self.permissions = Some(
            permissions
                .iter()
                .map(|(who, what)| ((*who).into(), (*what).into()))
                .collect(),
        );
        self
    }

    pub async fn start(self) -> World {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let letta = Letta::start().await;
        let mut homeserver = Homeserver::chosen(&dir.path().join("homeserver"));
        let mut bridge =
            Bridge::new(&dir.path().join("bridge")).with("LETTA__POLL_INTERVAL", "500ms");
        let push = Wire::to("homeserver to bridge", &bridge.url()).await;
        let matrix = Wire::to("bridge to homeserver", &homeserver.url()).await;
        let ask = Wire::to("bridge to Letta", &letta.url()).await;
        bridge.set("APPSERVICE__ADDRESS", &push.url());
        for (key, value) in &self.overrides {
            bridge.set(key, value);
        }
        bridge.init(&matrix.url(), &ask.url(), ALICE).await;
        if let Some(permissions) = &self.permissions {
            bridge.set_permissions(permissions);
        }
        homeserver.lay_out(Some(&bridge.registration()));
        homeserver.start().await;
        let alice = Person::register(&homeserver.url(), "alice", dir.path()).await;
        let logs = [vec![bridge.log(), alice.log.clone()], homeserver.logs()].concat();
        let mut world = World {
            alice,
            bridge,
            homeserver,
            letta,
            push,
            matrix,
            ask,
            logs,
            dir,
        };
        world.bridge.start();
        world.bridge.wait_ready().await;
        world
    }
}

impl World {
    /// Three agents, one admin, everything ready.
    pub async fn start() -> Self {
        Plan::default().start().await
    }

    pub fn plan() -> Plan {
        Plan::default()
    }

    /// One more person.
    pub async fn person(&mut self, name: &str) -> Person {
        let person = Person::register(&self.homeserver.url(), name, self.dir.path()).await;
        self.logs.push(person.log.clone());
        person
    }

    pub fn agents(&self) -> Vec<Agent> {
        self.letta.agents()
    }

    /// Alice accepts the invitation to the room of this agent; gives the room id.
    pub async fn enter(&self, agent: &Agent) -> String {
        let alice = &self.alice;
        let room = alice
            .wait_until(
                &format!("for an invitation to {}", agent.alias),
                SOON,
                |rooms| {
                    let mut rooms = rooms.values();
                    rooms
                        .find(|room| room.alias() == Some(&agent.alias))
                        .map(|room| room.id.clone())
                },
            )
            .await;
        alice.join(&room).await;
        room
    }

    /// Alice accepts the invitation to the space; gives its room id.
    pub async fn enter_space(&self) -> String {
        let alice = &self.alice;
        let space = alice
            .wait_until("for an invitation to the space", SOON, |rooms| {
                rooms
                    .values()
                    .find(|room| room.alias() == Some(SPACE))
                    .map(|room| room.id.clone())
            })
            .await;
        alice.join(&space).await;
        space
    }

    /// Enters the room of the first agent.
    pub async fn first_room(&self) -> (Agent, String) {
        let agent = self.agents().remove(0);
        let room = self.enter(&agent).await;
        (agent, room)
    }

    /// Waits until the bridge has said nothing to the homeserver for so long. For what must *not* come.
    pub async fn quiet_for(&self, quiet: Duration) {
        let started = Instant::now();
        loop {
            let last = self
                .matrix
                .exchanges()
                .last()
                .map_or(started, |exchange| exchange.at.max(started));
            let Some(rest) = quiet.checked_sub(last.elapsed()) else {
                return;
            };
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "the bridge never comes to rest"
            );
            tokio::time::sleep(rest.max(Duration::from_millis(5))).await;
        }
    }

    /// What Alice sees in the room once nothing more comes.
    pub async fn settled(&self, room: &str) -> Room {
        self.quiet_for(Duration::from_millis(1500)).await;
        self.alice.room(room)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in &self.logs {
                eprintln!("{}", tail(log, TAIL));
            }
            for wire in [&self.push, &self.matrix, &self.ask] {
                eprintln!("{}", wire.page(TAIL));
            }
            return;
        }
        for forbidden in ["login", "sync"] {
            let asked = self.matrix.with_segment(forbidden);
            assert!(asked.is_empty(), "the bridge called {forbidden}: {asked:?}");
        }
        assert!(
            self.matrix.count(|_| true) > 0,
            "the bridge went round the wire to the homeserver ({DOMAIN})"
        );
    }
}
