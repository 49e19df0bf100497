//! A Letta, a homeserver, the bridge between them as an admin sets it up, and Alice.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::bridge::Bridge;
use super::letta::Agent;
use super::peer::{Kind, Peer};
use super::person::Person;
use super::process::tail;
use super::server::Homeserver;
use super::world::ALICE;

/// What a person waits at most for what a crash comes between.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How long what was killed stays dead.
const DEAD: Duration = Duration::from_millis(500);

/// How many lines of each log a failed test shows.
const TAIL: usize = 40;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Bridge,
    Letta,
    Homeserver,
}

pub struct Deployment {
    pub alice: Arc<Person>,
    pub bridge: Bridge,
    pub homeserver: Homeserver,
    pub peer: Peer,
    logs: Vec<PathBuf>,
    dir: TempDir,
}

impl Deployment {
    /// Everything ready. Besides Alice, who is the admin, everybody named in `talkers` may talk.
    pub async fn start(kind: Kind, talkers: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let peer = Peer::start(kind, dir.path()).await;
        Self::around(peer, dir, talkers).await
    }

    /// The same with an App Server that only a proxy leads to, which speaks TLS.
    pub async fn start_secured() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let peer = Peer::secured(dir.path()).await;
        Self::around(peer, dir, &[]).await
    }

    async fn around(peer: Peer, dir: TempDir, talkers: &[&str]) -> Self {
        let mut homeserver = Homeserver::chosen(&dir.path().join("homeserver"));
        let mut bridge = Bridge::new(&dir.path().join("bridge"));
        bridge.set("APPSERVICE__ADDRESS", &bridge.url());
        if let Some(authority) = peer.authority() {
            bridge.trust(authority);
        }
        let flags = peer.flags();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let said = bridge.init_with(&homeserver.url(), &flags, ALICE).await;
        println!("{said}");
        if !talkers.is_empty() {
            let talkers = talkers.iter().map(|who| ((*who).into(), "talk".into()));
            let all: Vec<_> = talkers.chain([(ALICE.into(), "admin".into())]).collect();
            bridge.set_permissions(&all);
        }
        homeserver.lay_out(Some(&bridge.registration()));
        homeserver.start().await;
        let alice = Arc::new(Person::register(&homeserver.url(), "alice", dir.path()).await);
        let own = vec![peer.log(), bridge.log(), alice.log.clone()];
        let logs = [own, homeserver.logs()].concat();
        bridge.start();
        bridge.wait_ready().await;
        Self {
            alice,
            bridge,
            homeserver,
            peer,
            logs,
            dir,
        }
    }

    /// One more person.
    pub async fn person(&mut self, name: &str) -> Person {
        let person = Person::register(&self.homeserver.url(), name, self.dir.path()).await;
        self.logs.push(person.log.clone());
        person
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
            others.any(|entry| entry.says(words)).then_some(())
        });
        heard.await;
    }

    /// `kill -9`, and after a moment it is there again.
    pub async fn kill(&mut self, victim: Victim) {
        self.kill_during(victim, async {}).await;
    }

    /// The same; `meanwhile` begins as soon as it is dead, and need not end before it is there again.
    pub async fn kill_during<T>(
        &mut self,
        victim: Victim,
        meanwhile: impl Future<Output = T>,
    ) -> T {
        match victim {
            Victim::Bridge => self.bridge.kill9().await,
            Victim::Letta => self.peer.kill().await,
            Victim::Homeserver => self.homeserver.kill9().await,
        }
        let come_back = async {
            tokio::time::sleep(DEAD).await;
            match victim {
                Victim::Bridge => self.bridge.restart().await,
                Victim::Letta => self.peer.come_back().await,
                Victim::Homeserver => self.homeserver.start().await,
            }
        };
        let ended = tokio::join!(meanwhile, come_back).0;
        if victim == Victim::Homeserver && self.homeserver.name() == "synapse" {
            self.something_happens().await;
        }
        ended
    }

    /// Synapse passes on what it had accepted before it was killed only when the next event comes, in whichever room: its
    /// application service handler looks at the database only then. Elsewhere somebody always speaks; here Alice does, alone.
    async fn something_happens(&self) {
        let alone = self.alice.create_room(&[]).await;
        self.alice.say(&alone, "is anybody there?").await;
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in &self.logs {
                eprintln!("{}", tail(log, TAIL));
            }
        }
    }
}
