//! A person who is in every agent's room and reads along with `/sync`, as a client does.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    homeserver::DOMAIN,
    support::client,
    words::{Words, agent, agent_number},
};

/// Between two looks for a room that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Enough that no edit of a room is left out of a `/sync`.
const TIMELINE: &str = r#"{"room":{"timeline":{"limit":1000}},"presence":{"types":[]}}"#;

#[derive(Clone)]
pub(crate) struct Person {
    http: reqwest::Client,
    base: String,
    token: String,
    words: Words,
}

impl Person {
    /// Makes the admin's account.
    pub(crate) async fn register(homeserver: &str, words: Words) -> anyhow::Result<Self> {
        let mut person = Self {
            http: client()?,
            base: format!("{homeserver}/_matrix/client/v3"),
            token: String::new(),
            words,
        };
        let mut body = json!({ "username": "admin", "password": "of the bench only" });
        let url = format!("{}/register", person.base);
        let offered: Value = person
            .http
            .post(&url)
            .json(&body)
            .send()
            .await?
            .json()
            .await?;
        body["auth"] = json!({ "type": "m.login.dummy", "session": offered["session"] });
        let made = person.http.post(&url).json(&body).send().await?;
        let made: Value = made.error_for_status()?.json().await?;
        made["access_token"]
            .as_str()
            .context("no token")?
            .clone_into(&mut person.token);
        Ok(person)
    }

    /// Waits for the rooms of so many agents, and joins them all. Gives their ids.
    pub(crate) async fn enter(&self, rooms: usize) -> anyhow::Result<Vec<String>> {
        let mut entered = Vec::new();
        for number in 0..rooms {
            let alias = format!("%23{}:{DOMAIN}", agent(number).replace('-', "_"));
            let joining = format!("{}/join/{alias}", self.base);
            let room = loop {
                let request = self.http.post(&joining).bearer_auth(&self.token);
                let answer = request.json(&json!({})).send().await?;
                if answer.status().is_success() {
                    let joined: Value = answer.json().await?;
                    break joined["room_id"].as_str().context("no room")?.to_owned();
                }
                tokio::time::sleep(LOOK_EVERY).await;
            };
            entered.push(room);
        }
        Ok(entered)
    }

    pub(crate) async fn say(&self, room: &str, text: &str) -> anyhow::Result<()> {
        let url = format!("{}/rooms/{room}/send/m.room.message/1{room}", self.base);
        let request = self.http.put(url).bearer_auth(&self.token);
        let body = json!({ "msgtype": "m.text", "body": text });
        request.json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Notes everything that agents show, until it is aborted.
    pub(crate) async fn watch(self) -> anyhow::Result<()> {
        let mut since = None;
        loop {
            let mut request = self.http.get(format!("{}/sync", self.base));
            request = request.query(&[("timeout", "30000"), ("filter", TIMELINE)]);
            if let Some(since) = &since {
                request = request.query(&[("since", since)]);
            }
            let answer = request.bearer_auth(&self.token).send().await?;
            let answer: Value = answer.error_for_status()?.json().await?;
            let rooms = answer["rooms"]["join"].as_object().into_iter().flatten();
            for (_, room) in rooms {
                let events = room["timeline"]["events"].as_array().into_iter().flatten();
                events.for_each(|event| self.read(event));
            }
            since = answer["next_batch"].as_str().map(str::to_owned);
        }
    }

    fn read(&self, event: &Value) {
        let sender = event["sender"].as_str().unwrap_or_default();
        if event["type"] != "m.room.message" || !sender.starts_with("@agent_") {
            return;
        }
        let content = &event["content"];
        let edited = content["m.new_content"]["body"].as_str();
        let text = edited
            .or_else(|| content["body"].as_str())
            .unwrap_or_default();
        if let Some(room) = agent_number(sender) {
            self.words.see(room, text);
        }
    }
}
