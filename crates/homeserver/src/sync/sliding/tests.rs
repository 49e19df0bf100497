//! Sliding sync as a client sees it: every request through the router.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

mod extensions;
mod lists;
mod model;
mod rooms;
mod waiting;

const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// One connection of a person, that remembers its position as a client does.
struct Client<'a> {
    person: &'a TestUser,
    body: Value,
    pos: Option<String>,
}

impl<'a> Client<'a> {
    fn new(person: &'a TestUser, body: Value) -> Self {
        Self {
            person,
            body,
            pos: None,
        }
    }

    async fn at(&self, pos: Option<&str>, timeout: u64) -> (StatusCode, Value) {
        let pos = pos.map(|pos| format!("&pos={pos}")).unwrap_or_default();
        let path = format!("{PATH}?timeout={timeout}{pos}");
        self.person
            .call(Method::POST, &path, self.body.clone())
            .await
    }

    /// The next answer, waited for as long as this, in milliseconds.
    async fn wait(&mut self, timeout: u64) -> Value {
        let (status, answer) = self.at(self.pos.as_deref(), timeout).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        answer
    }

    /// The next answer, at once.
    async fn next(&mut self) -> Value {
        self.wait(0).await
    }
}

/// One list of the first rooms.
#[allow(
    clippy::needless_pass_by_value,
    reason = "tests write it where they need it"
)]
fn list(last: u64, timeline_limit: u64, required_state: Value) -> Value {
    json!({ "lists": { "all": {
        "ranges": [[0, last]], "timeline_limit": timeline_limit, "required_state": required_state,
    } } })
}

async fn room(person: &TestUser, body: Value) -> String {
    let answer = person.post("/_matrix/client/v3/createRoom", body).await;
    answer["room_id"].as_str().unwrap().to_owned()
}

fn path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{rest}")
}

async fn say(person: &TestUser, room: &str, text: &str) -> String {
    let path = path(room, &format!("send/m.room.message/{text}"));
    let answer = person
        .put(&path, json!({ "msgtype": "m.text", "body": text }))
        .await;
    answer["event_id"].as_str().unwrap().to_owned()
}

async fn join(person: &TestUser, room: &str) {
    person.post(&path(room, "join"), json!({})).await;
}

/// What was said, in order.
fn bodies(room: &Value) -> Vec<&str> {
    let events = room["timeline"].as_array().into_iter().flatten();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// The types and keys of the required state.
fn state(room: &Value) -> Vec<(&str, &str)> {
    let events = room["required_state"].as_array().into_iter().flatten();
    let mut state: Vec<_> = events
        .map(|event| {
            (
                event["type"].as_str().unwrap(),
                event["state_key"].as_str().unwrap(),
            )
        })
        .collect();
    state.sort_unstable();
    state
}

fn rooms_of(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_object().into_iter().flatten();
    rooms.map(|(room, _)| room.as_str()).collect()
}
