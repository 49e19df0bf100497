//! What people see in `/sync`, asked through the router.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::TestUser;

mod devices;
mod echo;
mod ephemeral;
mod history;
mod outside;
mod rooms;
mod waiting;
mod whole;

/// Somebody's sync that does not wait.
async fn sync(person: &TestUser, query: &str) -> Value {
    person
        .get(&format!("/_matrix/client/v3/sync?timeout=0&{query}"))
        .await
}

/// The next sync after another one, which it replaces.
async fn next(person: &TestUser, last: &mut Value, query: &str) -> Value {
    let since = last["next_batch"].as_str().unwrap();
    *last = sync(person, &format!("since={since}&{query}")).await;
    last.clone()
}

async fn room(person: &TestUser, preset: &str) -> String {
    let body = json!({ "preset": preset });
    let answer = person.post("/_matrix/client/v3/createRoom", body).await;
    answer["room_id"].as_str().unwrap().to_owned()
}

async fn invite(person: &TestUser, room: &str, other: &TestUser) {
    let body = json!({ "user_id": other.user_id });
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    person.post(&path, body).await;
}

async fn join(person: &TestUser, room: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/join");
    person.post(&path, json!({})).await;
}

async fn leave(person: &TestUser, room: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/leave");
    person.post(&path, json!({})).await;
}

async fn say(person: &TestUser, room: &str, text: &str) -> String {
    let path = format!(
        "/_matrix/client/v3/rooms/{room}/send/m.room.message/{}",
        text.replace(' ', "_")
    );
    let body = json!({ "msgtype": "m.text", "body": text });
    let answer = person.put(&path, body).await;
    answer["event_id"].as_str().unwrap().to_owned()
}

async fn set_state(person: &TestUser, room: &str, kind: &str, content: Value) {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/");
    person.put(&path, content).await;
}

/// What was said in the timeline of a room.
fn said(room: &Value) -> Vec<&str> {
    let events = room["timeline"]["events"].as_array();
    let texts = events.into_iter().flatten();
    texts
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// Types and state keys of the state beside the timeline.
fn state(room: &Value, name: &str) -> Vec<String> {
    let events = room[name]["events"].as_array();
    let events = events.into_iter().flatten();
    events
        .map(|event| {
            format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["state_key"].as_str().unwrap()
            )
        })
        .collect()
}

async fn refused(person: &TestUser, path: &str) -> StatusCode {
    person.call(Method::GET, path, json!({})).await.0
}
