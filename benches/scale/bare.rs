//! The same requests without a bridge: for each agent register, name, create, join, list, as many at
//! once as the bridge has under way.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use letta_client::Agent;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::synapse::DOMAIN;

/// How many agents are set up at once, in the bridge and here.
pub(crate) const AT_ONCE: usize = 8;

/// A homeserver, and who we are there.
pub(crate) struct Bare {
    /// Asks.
    pub(crate) http: Client,
    /// The homeserver.
    pub(crate) url: String,
    /// The appservice's token.
    pub(crate) as_token: String,
}

impl Bare {
    /// Sets up the space and everybody.
    pub(crate) async fn provision(&self, agents: Vec<Agent>) -> anyhow::Result<()> {
        self.post("register", None, &register("letta")).await?;
        self.post("createRoom", None, &space()).await?;
        let space = self.space().await?;
        futures_util::stream::iter(agents)
            .map(|agent| self.set_up(agent, &space))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn set_up(&self, agent: Agent, space: &str) -> anyhow::Result<()> {
        let rest = agent.id.as_str().trim_start_matches("agent-");
        let name = format!("agent_{}", rest.replace('-', "_"));
        let ghost = format!("@{name}:{DOMAIN}");
        self.post("register", None, &register(&name)).await?;
        let path = format!("profile/{ghost}/displayname");
        let body = json!({ "displayname": agent.name });
        self.call(Method::PUT, &path, Some(&ghost), &body).await?;
        let body = room(&name, &ghost, &agent, space);
        let room = self.post("createRoom", None, &body).await?;
        let room = room["room_id"].as_str().context("no room")?;
        let path = format!("rooms/{room}/join");
        self.post(&path, Some(&ghost), &json!({})).await?;
        let path = format!("rooms/{space}/state/m.space.child/{room}");
        let body = json!({ "via": [DOMAIN] });
        self.call(Method::PUT, &path, None, &body).await?;
        Ok(())
    }

    /// How many rooms the space lists.
    pub(crate) async fn rooms_in_space(&self) -> anyhow::Result<usize> {
        let path = format!("rooms/{}/state", self.space().await?);
        let state = self.call(Method::GET, &path, None, &Value::Null).await?;
        let events = state.as_array().context("no state")?;
        let listed = |event: &&Value| event["type"] == "m.space.child";
        Ok(events.iter().filter(listed).count())
    }

    async fn space(&self) -> anyhow::Result<String> {
        let path = format!("directory/room/%23letta_agents:{DOMAIN}");
        let found = self.call(Method::GET, &path, None, &Value::Null).await?;
        Ok(found["room_id"].as_str().context("no space")?.to_owned())
    }

    async fn post(&self, path: &str, as_whom: Option<&str>, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, as_whom, body).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        as_whom: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/_matrix/client/v3/{path}", self.url);
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(&self.as_token)
            .query(&as_whom.map(|user| [("user_id", user)]));
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

fn register(name: &str) -> Value {
    json!({ "username": name, "type": "m.login.application_service", "inhibit_login": true })
}

fn space() -> Value {
    json!({
        "room_alias_name": "letta_agents", "name": "Letta Agents", "preset": "private_chat",
        "topic": "Every agent of Letta, each in a room of its own", "room_version": "11",
        "creation_content": { "type": "m.space" }, "invite": [format!("@admin:{DOMAIN}")],
        "initial_state": state(),
        "power_level_content_override": powers(None, 50),
    })
}

fn room(alias: &str, ghost: &str, agent: &Agent, space: &str) -> Value {
    let mut state = state();
    state.push(json!({
        "type": "m.space.parent", "state_key": space,
        "content": { "via": [DOMAIN], "canonical": true },
    }));
    json!({
        "room_alias_name": alias, "name": agent.name, "preset": "private_chat",
        "topic": agent.description, "room_version": "11",
        "invite": [format!("@admin:{DOMAIN}"), ghost],
        "initial_state": state,
        "power_level_content_override": powers(Some(ghost), 0),
    })
}

fn state() -> Vec<Value> {
    let state = |kind: &str, key: &str, value: &str| json!({ "type": kind, "state_key": "", "content": { key: value } });
    vec![
        state("m.room.guest_access", "guest_access", "forbidden"),
        state("m.room.history_visibility", "history_visibility", "shared"),
    ]
}

fn powers(ghost: Option<&str>, events_default: u32) -> Value {
    let mut users = serde_json::Map::new();
    users.insert(format!("@letta:{DOMAIN}"), 100.into());
    users.insert(format!("@admin:{DOMAIN}"), 100.into());
    if let Some(ghost) = ghost {
        users.insert(ghost.to_owned(), 50.into());
    }
    json!({
        "users": users, "users_default": 0, "events_default": events_default,
        "state_default": 50, "invite": 50,
    })
}
