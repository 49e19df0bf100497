//! A bare Matrix client: the few requests that are measured, and nothing around them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    appservice::{AS_TOKEN, GHOSTS},
    arrivals::Arrivals,
};

/// What people say: as long as what people say.
const WORDS: &str =
    "Could you look at the report of last week and tell me what changed since then?";
/// How long a sync waits for something to happen.
const LONG_POLL: Duration = Duration::from_secs(30);

/// Somebody on a homeserver.
#[derive(Clone)]
pub(crate) struct Person {
    http: Client,
    homeserver: String,
    token: String,
    /// Who it is.
    pub(crate) user_id: String,
    /// Whether the application service acts as it.
    is_ghost: bool,
}

impl Person {
    /// Registers somebody, as a client does.
    pub(crate) async fn register(
        http: &Client,
        homeserver: &str,
        name: &str,
    ) -> anyhow::Result<Self> {
        let nobody = Self {
            http: http.clone(),
            homeserver: homeserver.to_owned(),
            token: String::new(),
            user_id: String::new(),
            is_ghost: false,
        };
        let body = json!({
            "username": name, "password": "a long password", "auth": { "type": "m.login.dummy" },
        });
        let made = nobody.call(Method::POST, "register", &body).await?;
        Ok(Self {
            token: text(&made, "access_token")?,
            user_id: text(&made, "user_id")?,
            ..nobody
        })
    }

    /// Registers a user of the application service.
    pub(crate) async fn ghost(http: &Client, homeserver: &str, name: &str) -> anyhow::Result<Self> {
        let mut ghost = Self {
            http: http.clone(),
            homeserver: homeserver.to_owned(),
            token: AS_TOKEN.to_owned(),
            user_id: String::new(),
            is_ghost: false,
        };
        let body = json!({
            "username": format!("{GHOSTS}{name}"), "type": "m.login.application_service",
            "inhibit_login": true,
        });
        let made = ghost.call(Method::POST, "register", &body).await?;
        (ghost.user_id, ghost.is_ghost) = (text(&made, "user_id")?, true);
        Ok(ghost)
    }

    /// Makes a room and has everybody in `others` join it.
    pub(crate) async fn room(&self, name: &str, others: &[&Self]) -> anyhow::Result<String> {
        let invite: Vec<&str> = others.iter().map(|one| &*one.user_id).collect();
        let body = json!({ "preset": "private_chat", "name": name, "invite": invite });
        let made = self.call(Method::POST, "createRoom", &body).await?;
        let room = text(&made, "room_id")?;
        for one in others {
            let path = format!("rooms/{room}/join");
            one.call(Method::POST, &path, &json!({})).await?;
        }
        Ok(room)
    }

    /// Says something; gives the event and how long the request took.
    pub(crate) async fn say(&self, room: &str, id: &str) -> anyhow::Result<(String, Duration)> {
        let body = json!({ "msgtype": "m.text", "body": WORDS });
        let path = format!("rooms/{room}/send/m.room.message/{id}");
        let began = Instant::now();
        let sent = self.call(Method::PUT, &path, &body).await?;
        Ok((text(&sent, "event_id")?, began.elapsed()))
    }

    /// Asks for what costs nothing; gives how long the request took.
    pub(crate) async fn versions(&self) -> anyhow::Result<Duration> {
        let url = format!("{}/_matrix/client/versions", self.homeserver);
        let began = Instant::now();
        let answer = self.http.get(url).send().await?.error_for_status()?;
        answer.bytes().await?;
        Ok(began.elapsed())
    }

    /// The first sync, as Element asks for it; gives its size in bytes. Another `limit` is another question: Synapse keeps
    /// answers for those who ask the same again.
    pub(crate) async fn initial_sync(&self, limit: usize) -> anyhow::Result<(usize, String)> {
        let filter = json!({
            "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": limit } },
        });
        let filter: String =
            url::form_urlencoded::byte_serialize(filter.to_string().as_bytes()).collect();
        let (size, answer) = self
            .read(&format!("sync?timeout=0&filter={filter}"))
            .await?;
        Ok((size, text(&answer, "next_batch")?))
    }

    /// A sync that does not wait.
    pub(crate) async fn sync_at_once(&self, since: &str) -> anyhow::Result<String> {
        let (_, answer) = self.read(&format!("sync?timeout=0&since={since}")).await?;
        text(&answer, "next_batch")
    }

    /// Syncs for ever, and notes what arrives.
    pub(crate) async fn listen(self, mut since: String, arrivals: Arrivals) -> anyhow::Result<()> {
        loop {
            let wait = LONG_POLL.as_millis();
            let (_, answer) = self
                .read(&format!("sync?timeout={wait}&since={since}"))
                .await?;
            let at = Instant::now();
            let rooms = answer["rooms"]["join"].as_object();
            for room in rooms.into_iter().flat_map(|rooms| rooms.values()) {
                for event in room["timeline"]["events"].as_array().into_iter().flatten() {
                    arrivals.note(event["event_id"].as_str().unwrap_or_default(), at);
                }
            }
            since = text(&answer, "next_batch")?;
        }
    }

    async fn read(&self, path: &str) -> anyhow::Result<(usize, Value)> {
        let body = self.bytes(Method::GET, path, &Value::Null).await?;
        Ok((body.len(), serde_json::from_slice(&body)?))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(
            &self.bytes(method, path, body).await?,
        )?)
    }

    async fn bytes(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Vec<u8>> {
        let url = format!("{}/_matrix/client/v3/{path}", self.homeserver);
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if self.is_ghost {
            request = request.query(&[("user_id", &self.user_id)]);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let words = String::from_utf8_lossy(&body);
        ensure!(status.is_success(), "{path}: {status} {words}");
        Ok(body.to_vec())
    }
}

fn text(answer: &Value, key: &str) -> anyhow::Result<String> {
    let text = answer[key].as_str().map(str::to_owned);
    text.with_context(|| format!("no {key} in {answer}"))
}
