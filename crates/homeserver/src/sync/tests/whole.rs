//! A client that adds up what it is told has the current state, and hears of every end.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::{invite, join, leave, next, room, said, say, set_state, sync};
use crate::testing::{TestServer, TestUser};

const FILTER: &str =
    "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22types%22%3A%5B%22m.room.message%22%5D%7D%7D%7D";

type Held = BTreeMap<(String, String), Value>;

/// What a client holds of a room after one more answer: first the state, then the timeline.
fn add(held: &mut Held, room: &Value) {
    let state = room["state"]["events"].as_array().into_iter().flatten();
    let timeline = room["timeline"]["events"].as_array().into_iter().flatten();
    for event in state.chain(timeline) {
        if let Some(key) = event["state_key"].as_str() {
            let kind = event["type"].as_str().unwrap().to_owned();
            held.insert((kind, key.to_owned()), event["event_id"].clone());
        }
    }
}

async fn truth(person: &TestUser, room: &str) -> Held {
    let state = person
        .get(&format!("/_matrix/client/v3/rooms/{room}/state"))
        .await;
    let mut held = Held::new();
    add(&mut held, &json!({ "state": { "events": state } }));
    held
}

async fn name(person: &TestUser, room: &str, name: &str) {
    set_state(person, room, "m.room.name", json!({ "name": name })).await;
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>: `state` is that before the timeline, so both add up.
#[tokio::test]
async fn state_and_timeline_add_up_whatever_history_hides() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    for visibility in ["joined", "invited", "shared", "world_readable"] {
        let id = room(&alice, "private_chat").await;
        let content = json!({ "history_visibility": visibility });
        set_state(&alice, &id, "m.room.history_visibility", content).await;
        let (mut held, mut last) = (Held::new(), sync(&bob, "").await);
        for round in 0..3 {
            invite(&alice, &id, &bob).await;
            name(&alice, &id, &format!("hidden {round}")).await;
            set_state(&alice, &id, "m.room.topic", json!({ "topic": round })).await;
            join(&bob, &id).await;
            say(&alice, &id, &format!("{visibility} {round}")).await;
            for query in ["", "full_state=true", &format!("filter={FILTER}")] {
                let first = sync(&bob, query).await;
                let mut fresh = Held::new();
                add(&mut fresh, &first["rooms"]["join"][&id]);
                assert_eq!(
                    fresh,
                    truth(&bob, &id).await,
                    "{visibility} {round} {query}"
                );
            }
            let answer = next(&bob, &mut last, "").await;
            add(&mut held, &answer["rooms"]["join"][&id]);
            assert_eq!(held, truth(&bob, &id).await, "{visibility} {round}");
            leave(&bob, &id).await;
            name(&alice, &id, "while bob is away").await;
            // Bob does not look before he is back, or does.
            if round == 1 {
                let answer = next(&bob, &mut last, "").await;
                add(&mut held, &answer["rooms"]["leave"][&id]);
            }
        }
    }
}

#[tokio::test]
async fn state_that_a_filter_takes_out_of_the_timeline_stands_beside_it() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let query = format!("filter={FILTER}");
    let mut last = sync(&alice, &query).await;
    let mut held = Held::new();
    add(&mut held, &last["rooms"]["join"][&id]);
    for round in 0..3 {
        say(&alice, &id, &format!("before {round}")).await;
        name(&alice, &id, &format!("name {round}")).await;
        say(&alice, &id, &format!("after {round}")).await;
        let answer = next(&alice, &mut last, &query).await;
        let told = &answer["rooms"]["join"][&id];
        assert_eq!(said(told).len(), 2);
        add(&mut held, told);
        assert_eq!(held, truth(&alice, &id).await);
    }
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms>
#[tokio::test]
async fn other_device_hears_of_a_room_that_was_left_and_forgotten() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let other = test.log_in(&bob.user_id).await;
    let mut last = sync(&other, "").await;
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let list = json!({ "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [["m.room.member", "$ME"]] } } });
    let first = other
        .post(&format!("{sliding}?timeout=0"), list.clone())
        .await;
    assert!(first["rooms"][&id].is_object());
    leave(&bob, &id).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{id}/forget"), json!({}))
        .await;
    let answer = next(&other, &mut last, "").await;
    let event = &answer["rooms"]["leave"][&id]["timeline"]["events"][0];
    assert_eq!(event["content"]["membership"], "leave", "{answer}");
    assert!(next(&other, &mut last, "").await["rooms"].is_null());
    let pos = first["pos"].as_str().unwrap();
    let answer = other
        .post(&format!("{sliding}?timeout=0&pos={pos}"), list.clone())
        .await;
    let own = &answer["rooms"][&id]["required_state"][0]["content"]["membership"];
    assert_eq!(own, "leave", "{answer}");
    let pos = answer["pos"].as_str().unwrap();
    let answer = other
        .post(&format!("{sliding}?timeout=0&pos={pos}"), list)
        .await;
    assert!(answer["rooms"].is_null(), "{answer}");
    // It is told to nobody who begins anew, and comes back when the user does.
    let first = sync(&other, "").await;
    assert!(first["rooms"]["leave"].is_null());
    join(&bob, &id).await;
    let answer = next(&other, &mut last, "").await;
    assert!(answer["rooms"]["join"][&id].is_object() && answer["rooms"]["leave"].is_null());
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>: `timeout` is 0 if it is not said.
#[tokio::test]
async fn sync_without_timeout_does_not_wait() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let first = alice.get("/_matrix/client/v3/sync").await;
    let since = first["next_batch"].as_str().unwrap();
    alice
        .get(&format!("/_matrix/client/v3/sync?since={since}"))
        .await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>: whoever joins learns who is there.
#[tokio::test]
async fn who_joins_learns_the_presence_of_members() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    alice
        .put(&path, json!({ "presence": "online", "status_msg": "tea" }))
        .await;
    let mut last = sync(&bob, "").await;
    assert!(last["presence"].is_null() || !last["presence"].to_string().contains("alice"));
    join(&bob, &id).await;
    let seen = next(&bob, &mut last, "").await;
    assert!(
        seen["presence"]
            .to_string()
            .contains("\"status_msg\":\"tea\""),
        "{seen}"
    );
    let (status, _) = alice.call(Method::GET, &path, json!({})).await;
    assert!(status.is_success());
}
