//! A Letta, a homeserver, the bridge between them as an admin sets it up, and Alice.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::peer::{Agent, Peer};
use super::record::{Feature, Outcome, record};
use super::{PATIENCE, Victim};
use crate::support::bridge::Bridge;
use crate::support::person::Person;
use crate::support::process::tail;
use crate::support::server::Homeserver;
use crate::support::world::ALICE;

/// How long what was killed stays dead.
const DEAD: Duration = Duration::from_millis(500);

/// How many lines of each log a failed test shows.
const TAIL: usize = 40;

pub struct House {
    pub alice: Person,
    pub bridge: Bridge,
    pub homeserver: Homeserver,
    pub peer: Peer,
    logs: Vec<PathBuf>,
    _dir: TempDir,
}

impl House {
    /// Everything ready, and `features` written down as begun.
    pub async fn start(features: &[Feature]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let peer = Peer::start(dir.path()).await;
        let mut homeserver = Homeserver::chosen(&dir.path().join("homeserver"));
        for feature in features {
            record(homeserver.name(), peer.name(), *feature, Outcome::Begun);
        }
        let mut bridge = Bridge::new(&dir.path().join("bridge"));
        bridge.set("APPSERVICE__ADDRESS", &bridge.url());
        let flags = peer.flags();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let said = bridge.init_with(&homeserver.url(), &flags, ALICE).await;
        println!("{said}");
        homeserver.lay_out(Some(&bridge.registration()));
        homeserver.start().await;
        let alice = Person::register(&homeserver.url(), "alice", dir.path()).await;
        let logs = [vec![bridge.log(), alice.log.clone()], homeserver.logs()].concat();
        bridge.start();
        bridge.wait_ready().await;
        Self {
            alice,
            bridge,
            homeserver,
            peer,
            logs,
            _dir: dir,
        }
    }

    pub fn passed(&self, feature: Feature, outcome: Outcome) {
        record(self.homeserver.name(), self.peer.name(), feature, outcome);
    }

    pub async fn agents(&self) -> Vec<Agent> {
        self.peer.agents().await
    }

    /// Alice accepts the invitation to the room of this agent; gives the room id.
    pub async fn enter(&self, agent: &Agent) -> String {
        let invited = self
            .alice
            .wait_until("for an invitation", PATIENCE, |rooms| {
                let mut rooms = rooms.values();
                let room = rooms.find(|room| room.alias() == Some(&agent.alias))?;
                Some(room.id.clone())
            });
        let room = invited.await;
        self.alice.join(&room).await;
        room
    }

    /// Waits until somebody else has said these words.
    pub async fn hears(&self, room: &str, words: &str) {
        let alice = &self.alice;
        let what = format!("to hear {words:?}");
        let heard = alice.wait_for(&what, room, PATIENCE, |room| {
            let mut others = room
                .timeline
                .iter()
                .filter(|one| one.sender != alice.user_id);
            others
                .any(|entry| entry.text().contains(words))
                .then_some(())
        });
        heard.await;
    }

    /// `kill -9`, and after a moment it is there again.
    pub async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Bridge => self.bridge.kill9().await,
            Victim::Letta => self.peer.kill().await,
            Victim::Homeserver => self.homeserver.kill9().await,
        }
        tokio::time::sleep(DEAD).await;
        match victim {
            Victim::Bridge => self.bridge.restart().await,
            Victim::Letta => self.peer.come_back().await,
            Victim::Homeserver => self.homeserver.start().await,
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in &self.logs {
                eprintln!("{}", tail(log, TAIL));
            }
        }
    }
}
