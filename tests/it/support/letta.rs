//! Letta: the project's own scripted server, with real sockets, which a test can rename, empty, break and take down.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use letta_client::demo::{Demo, DemoServer};
use serde_json::Value;

use super::process::{client, free_port};
use super::synapse::DOMAIN;
use super::wire::{ExchangePhase, Moment, RuleAction, Wire};

/// One agent, with the names under which it is known in Matrix.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: letta_client::AgentId,
    pub name: String,
    pub ghost: String,
    pub alias: String,
}

pub struct Letta {
    pub demo: Demo,
    address: SocketAddr,
    server: Option<DemoServer>,
}

impl Letta {
    /// Starts one with three agents.
    pub async fn start() -> Self {
        let mut letta = Self {
            demo: Demo::new(),
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            server: None,
        };
        letta.come_back().await;
        letta
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening: connections are refused until `come_back`.
    pub async fn go_away(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
    }

    pub async fn come_back(&mut self) {
        self.server = Some(
            DemoServer::start(self.demo.clone(), self.address)
                .await
                .expect("the port is free"),
        );
    }

    pub fn agents(&self) -> Vec<Agent> {
        self.demo.agents().into_iter().map(Agent::from).collect()
    }

    /// Makes one more agent.
    pub fn add(&self, name: &str) -> Agent {
        self.demo
            .add_agent(name)
            .expect("there is room for one more agent")
            .into()
    }

    /// How many runs were started since the beginning.
    pub fn runs(&self) -> usize {
        let mut runs: Vec<_> = self
            .demo
            .records()
            .sends
            .into_iter()
            .map(|send| send.run)
            .collect();
        runs.sort_unstable();
        runs.dedup();
        runs.len()
    }

    /// What Letta lists now, for a test that hides some of it on the wire.
    pub async fn listing(&self) -> Vec<Value> {
        let listed = client()
            .get(format!("{}/v1/agents/", self.url()))
            .send()
            .await
            .expect("Letta answers");
        listed.json().await.expect("a list of agents")
    }
}

impl Agent {
    /// An agent of this id and name.
    pub fn named(id: letta_client::AgentId, name: String) -> Self {
        let localpart = id.as_str().replace('-', "_");
        Self {
            name,
            ghost: format!("@{localpart}:{DOMAIN}"),
            alias: format!("#{localpart}:{DOMAIN}"),
            id,
        }
    }
}

impl From<letta_client::Agent> for Agent {
    fn from(agent: letta_client::Agent) -> Self {
        Self::named(agent.id, agent.name)
    }
}

/// Whether the bridge asks for the list of agents at this moment.
pub fn is_listing(moment: &Moment) -> bool {
    moment.stage == ExchangePhase::Arrived
        && moment.method == Method::GET
        && moment.path.trim_end_matches('/').ends_with("/v1/agents")
}

/// Lists these agents instead of those that Letta has, until the rule is forgotten.
pub fn list_instead(letta: &Wire, agents: &[Value]) -> u64 {
    letta.always(
        RuleAction::Answer(StatusCode::OK, Value::from(agents.to_vec())),
        is_listing,
    )
}
