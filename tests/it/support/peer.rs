//! Letta, whichever it is, and how to make its agents do something.
//!
//! The demo is this project's own server with scripted agents; the App Server is the real one with a scripted model
//! behind it, reached by its own protocol or by its OpenAI-compatible routes.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use letta_client::{
    Backend,
    openai::{OpenAiBackend, OpenAiConfig},
};

use super::letta::{Agent, Letta};
use super::proxy::Proxy;

#[path = "../../../crates/letta-client/tests/app_server/model.rs"]
#[allow(dead_code, reason = "the client's own tests use the rest of it")]
pub mod model;
#[path = "../../../crates/letta-client/tests/app_server/server.rs"]
#[allow(dead_code, reason = "the client's own tests use the rest of it")]
mod server;

use server::LettaAppServer;

use super::v1::LettaV1;

/// How the bridge speaks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Demo,
    AppServer,
    OpenAi,
    /// The retired V1 server, over REST.
    V1,
}

enum Running {
    Demo(Letta),
    AppServer(LettaAppServer),
    V1(Box<LettaV1>),
}

pub struct Peer {
    pub kind: Kind,
    server: Running,
    /// Speaks TLS in front of it.
    proxy: Option<Proxy>,
    /// Where tools leave their traces.
    traces: PathBuf,
}

/// A tool that somebody should be asked about.
pub struct Tool {
    pub prompt: String,
    /// What the agent says once it has run.
    pub returned: String,
    /// What it says when it may not run it.
    pub denied: &'static str,
    /// The file that it makes, if it is a real one.
    trace: Option<PathBuf>,
}

impl Tool {
    pub fn has_run(&self) -> bool {
        self.times_run() > 0
    }

    /// How often it has run: each time leaves a line.
    pub fn times_run(&self) -> usize {
        let text = self.trace.as_ref().map(std::fs::read_to_string);
        text.map_or(0, |text| text.unwrap_or_default().lines().count())
    }

    pub fn leaves_a_trace(&self) -> bool {
        self.trace.is_some()
    }
}

impl Kind {
    /// The one that this run is about.
    pub fn chosen() -> Self {
        match std::env::var("LETTA_TEST_BACKEND").as_deref() {
            Err(_) | Ok("" | "demo") => Self::Demo,
            Ok("app-server") => Self::AppServer,
            Ok("openai") => Self::OpenAi,
            Ok("v1") => Self::V1,
            Ok(other) => {
                panic!("LETTA_TEST_BACKEND is demo, v1, app-server or openai, not {other}")
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::AppServer => "app-server",
            Self::OpenAi => "openai",
            Self::V1 => "v1",
        }
    }
}

impl Peer {
    /// One of this kind, with two agents at least.
    pub async fn start(kind: Kind, dir: &Path) -> Self {
        let home = dir.join("letta");
        let server = match kind {
            Kind::Demo => Running::Demo(Letta::start().await),
            Kind::AppServer | Kind::OpenAi => {
                Running::AppServer(LettaAppServer::start(&home, None).await)
            }
            Kind::V1 => Running::V1(Box::new(LettaV1::start(&home).await)),
        };
        for name in ["Ada", "Grace"] {
            match &server {
                // It brings its agents along.
                Running::Demo(_) => {}
                Running::AppServer(server) => drop(server.make_agent(name).await),
                Running::V1(server) => drop(server.make_agent(name).await),
            }
        }
        Self {
            kind,
            server,
            proxy: None,
            traces: dir.to_owned(),
        }
    }

    /// An App Server that is reached by `wss://` only.
    pub async fn secured(dir: &Path) -> Self {
        let mut peer = Self::start(Kind::AppServer, dir).await;
        let port = peer
            .url()
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        peer.proxy = Some(Proxy::start(port.expect("a port"), dir).await);
        peer
    }

    /// What the bridge's process has to trust besides what this machine trusts.
    pub fn authority(&self) -> Option<&Path> {
        self.proxy.as_ref().map(|proxy| &*proxy.authority)
    }

    /// What `init` is told about it. Only where there are two ways must one be named.
    pub fn flags(&self) -> Vec<String> {
        let backend = match self.kind {
            Kind::OpenAi => vec!["--backend".to_owned(), "openai".to_owned()],
            Kind::Demo | Kind::AppServer | Kind::V1 => vec![],
        };
        let url = self
            .proxy
            .as_ref()
            .map_or_else(|| self.url(), |proxy| proxy.url("wss"));
        [backend, vec!["--letta-url".to_owned(), url]].concat()
    }

    /// Its HTTP address, also where its socket is.
    fn url(&self) -> String {
        match &self.server {
            Running::Demo(letta) => letta.url(),
            Running::V1(server) => server.url(),
            Running::AppServer(server) => server.url().replace("ws://", "http://"),
        }
    }

    /// Where a real one writes what it does.
    pub fn log(&self) -> PathBuf {
        self.traces.join("letta/server.log")
    }

    pub async fn agents(&self) -> Vec<Agent> {
        match (&self.server, self.kind) {
            (Running::Demo(letta), _) => letta.agents(),
            (Running::V1(server), _) => {
                let agents = server.agents().await.into_iter();
                agents.map(|(id, name)| Agent::named(id, name)).collect()
            }
            (Running::AppServer(_), Kind::OpenAi) => {
                let backend = OpenAiBackend::new(OpenAiConfig::new(self.url())).unwrap();
                let agents = backend.agents().await.unwrap();
                agents.into_iter().map(Agent::from).collect()
            }
            (Running::AppServer(server), _) => {
                let listed =
                    serde_json::json!({ "type": "agent_list", "query": { "limit": 1000 } });
                let listed = server.ask(listed).await;
                let agents = listed["agents"].as_array().expect("a list of agents");
                let agent = |agent: &serde_json::Value| {
                    let text = |key: &str| agent[key].as_str().expect("a text").to_owned();
                    Agent::named(text("id").parse().unwrap(), text("name"))
                };
                agents.iter().map(agent).collect()
            }
        }
    }

    /// Makes it say these words.
    pub fn say(&self, words: &str) -> String {
        match self.kind {
            Kind::Demo => format!("say: {words}"),
            Kind::AppServer | Kind::OpenAi | Kind::V1 => format!("say {words}"),
        }
    }

    /// Makes it speak for so many beats. Gives what it says.
    pub fn slow(&self, beats: usize) -> (String, String) {
        let (prompt, word): (_, fn(usize) -> String) = match self.kind {
            Kind::Demo => (format!("slow: {beats}"), |n| format!("w{n}")),
            Kind::AppServer | Kind::OpenAi | Kind::V1 => {
                (format!("count {beats}"), |n| (n + 1).to_string())
            }
        };
        let said: Vec<_> = (0..beats).map(word).collect();
        (prompt, said.join(" "))
    }

    /// Makes it say whether it was shown a picture. Gives what it says if it was.
    pub fn look(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Demo => ("pictures:", "pictures: image/png"),
            Kind::AppServer | Kind::OpenAi | Kind::V1 => ("pictures", "1 of 1"),
        }
    }

    /// The last picture that its model was shown.
    pub fn last_picture(&self) -> Vec<u8> {
        if let Running::Demo(letta) = &self.server {
            let shown = letta.demo.pictures().pop();
            return shown.expect("a picture was shown").bytes.to_vec();
        }
        let shown = self.model().pictures().pop();
        let shown = shown.expect("a picture was shown");
        let (_, data) = shown.split_once(";base64,").expect("a data: URL");
        STANDARD.decode(data).expect("base64")
    }

    /// An agent whose model sees pictures. Where the server has to be told of that, it is made now.
    pub async fn seeing_agent(&self) -> Agent {
        if let Running::AppServer(server) = &self.server {
            server.make_seeing_agent("Vera").await;
            let mut agents = self.agents().await.into_iter();
            return agents
                .find(|agent| agent.name == "Vera")
                .expect("it is there");
        }
        self.agents().await.remove(0)
    }

    /// From now on the model provider refuses everything so; with `None`, nothing.
    pub fn refuse(&self, refusal: Option<model::Refusal>) {
        self.model().refuse(refusal);
    }

    /// How often the model was asked.
    pub fn model_asked(&self) -> usize {
        self.model().asked()
    }

    fn model(&self) -> &model::Model {
        match &self.server {
            Running::AppServer(server) => &server.model,
            Running::V1(server) => &server.model,
            Running::Demo(_) => panic!("the demo has no model"),
        }
    }

    /// Makes it use a tool that asks where anybody can be asked.
    pub fn tool(&self, name: &str) -> Tool {
        let trace = self.traces.join(format!("trace-{name}"));
        match self.kind {
            Kind::Demo => Tool {
                prompt: "approve: launch {}".to_owned(),
                returned: "tool launch returned".to_owned(),
                denied: "request to call tool denied",
                trace: None,
            },
            Kind::AppServer | Kind::OpenAi | Kind::V1 => Tool {
                prompt: format!("run echo {name} | tee -a {}", trace.display()),
                returned: match self.kind {
                    // V1 puts an envelope around what the model reads.
                    Kind::V1 => "it returned: {".to_owned(),
                    _ => format!("it returned: {name}"),
                },
                denied: "it returned",
                trace: Some(trace),
            },
        }
    }

    /// Makes one more agent, as Letta's own apps do.
    pub async fn make_agent(&self, name: &str) -> Agent {
        match &self.server {
            Running::Demo(letta) => letta.add(name),
            Running::AppServer(server) => {
                Agent::named(server.make_agent(name).await, name.to_owned())
            }
            Running::V1(server) => Agent::named(server.make_agent(name).await, name.to_owned()),
        }
    }

    /// Decides what waits in an agent's default conversation, as Letta's own app does.
    pub async fn decide_elsewhere(&self, agent: &Agent, approve: bool) {
        match &self.server {
            Running::V1(server) => server.decide(&agent.id, approve).await,
            Running::Demo(_) | Running::AppServer(_) => panic!("this is about V1"),
        }
    }

    /// Deletes an agent, as Letta's own apps do.
    pub async fn delete_agent(&self, agent: &Agent) {
        match &self.server {
            Running::Demo(letta) => assert!(letta.demo.remove_agent(&agent.id), "it is there"),
            Running::AppServer(server) => {
                let deleted =
                    serde_json::json!({ "type": "agent_delete", "agent_id": agent.id.as_str() });
                let deleted = server.ask(deleted).await;
                assert_eq!(deleted["success"], true, "{deleted}");
            }
            Running::V1(server) => server.delete_agent(&agent.id).await,
        }
    }

    /// It dies: the App Server by `kill -9`; the demo, which lives in this process, by cutting all connections.
    pub async fn kill(&mut self) {
        match &mut self.server {
            Running::Demo(letta) => letta.go_away().await,
            Running::AppServer(server) => server.kill().await,
            Running::V1(server) => server.kill().await,
        }
    }

    /// An App Server is killed while it writes its conversations down: what it leaves then is empty files.
    pub async fn lose_conversations(&mut self) {
        self.kill().await;
        let emptied = empty(&self.traces.join("letta"));
        assert!(emptied > 0, "there is no conversation to lose");
        self.come_back().await;
    }

    pub async fn come_back(&mut self) {
        match &mut self.server {
            Running::Demo(letta) => letta.come_back().await,
            Running::AppServer(server) => server.come_back().await,
            Running::V1(server) => server.come_back().await,
        }
    }
}

/// Empties every file in which a conversation is, and counts them.
fn empty(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder of the App Server");
    let mut emptied = 0;
    for entry in entries.map(|entry| entry.expect("a file of the App Server")) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            emptied += empty(&path);
        } else if path.ends_with("conversation.json") {
            std::fs::write(&path, "").expect("the file can be written to");
            emptied += 1;
        }
    }
    emptied
}
