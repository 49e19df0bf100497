//! The homeserver that the bridge brings along holds: generated requests, `kill -9` under load, thousands of round trips, an end
//! in the middle of work.
//!
//! Each proof has a size that fits into `make test`, and a variable that makes it as large as anybody wants; `make proof` runs all
//! of them at full size.

use serde_json::{Value, json};

use self::account::{Account, part};

pub mod account;
pub mod fuzz;
mod kills;
mod limits;
mod neighbors;
mod shutdown;
mod trips;
mod view;

/// The size of a proof: what the environment says, else the usual one.
fn size(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {text}")),
        Err(_) => usual,
    }
}

/// A room of all of these; the first makes it.
async fn room_of(people: &[&Account]) -> String {
    let body = json!({ "preset": "public_chat" });
    let made = people[0].post("/_matrix/client/v3/createRoom", &body).await;
    let room = made["room_id"].as_str().expect("a room").to_owned();
    for person in &people[1..] {
        let join = format!("/_matrix/client/v3/rooms/{}/join", part(&room));
        person.post(&join, &json!({})).await;
    }
    room
}

/// Everything that was ever said in a room, oldest first, as the server tells it now.
async fn history_of(room: &str, reader: &Account) -> Vec<Value> {
    let mut events = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=200{from}",
            part(room)
        );
        let page = reader.get(&path).await;
        events.extend(page["chunk"].as_array().cloned().unwrap_or_default());
        let Some(end) = page["end"].as_str() else {
            events.reverse();
            return events;
        };
        from = format!("&from={}", part(end));
    }
}
