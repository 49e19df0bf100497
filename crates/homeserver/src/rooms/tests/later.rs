//! What happens later, or everywhere at once.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{refused, room, rooms};
use crate::{
    rooms::membership::{leave_all_rooms, update_profiles},
    store::tables,
    testing::{TestServer, TestUser},
};

/// How long a test waits for something that takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

const WAITING: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

async fn topic(person: &TestUser, room: &str) -> Value {
    let path = rooms(room, "state/m.room.topic");
    person.call(Method::GET, &path, json!({})).await.1["topic"].clone()
}

async fn delay(person: &TestUser, room: &str, topic: &str, ms: u64) -> String {
    let path = format!("state/m.room.topic?org.matrix.msc4140.delay={ms}");
    let answer = person
        .put(&rooms(room, &path), json!({ "topic": topic }))
        .await;
    answer["delay_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_that_waits_is_sent_cancelled_and_survives_a_restart() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let cancelled = delay(&alice, &room, "never", 60_000).await;
    let sent = delay(&alice, &room, "now", 60_000).await;
    let waiting = alice.get(WAITING).await;
    assert_eq!(waiting["delayed_events"].as_array().unwrap().len(), 2);
    let unknown = format!("{WAITING}/{sent}/delete");
    let (status, answer) = test.call(Method::POST, &unknown, json!({})).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::NOT_FOUND, &json!("M_UNRECOGNIZED"))
    );
    let cancel = format!("{WAITING}/{cancelled}");
    alice.post(&cancel, json!({ "action": "cancel" })).await;
    let (status, _) = test
        .call(Method::POST, &format!("{WAITING}/{sent}/send"), json!({}))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(topic(&alice, &room).await, "now");
    refused(
        &alice,
        Method::POST,
        &cancel,
        json!({ "action": "send" }),
        StatusCode::NOT_FOUND,
        "M_NOT_FOUND",
    )
    .await;

    let path = rooms(
        &room,
        "send/m.room.message/late?org.matrix.msc4140.delay=60000",
    );
    let body = json!({ "msgtype": "m.text", "body": "late" });
    let first = alice.put(&path, body.clone()).await;
    assert_eq!(alice.put(&path, body).await, first);
    delay(&alice, &room, "later", 300).await;
    let token = alice.token.clone();
    drop(alice);
    let test = test.restart().await;
    let alice = test.with_token("alice", &token);
    let mut watcher = test.server.stream.watch(&alice.user_id);
    while topic(&alice, &room).await != "later" {
        assert!(watcher.wait(PATIENCE).await, "the event was never sent");
    }
    let waiting = alice.get(WAITING).await;
    assert_eq!(waiting["delayed_events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_name_reaches_all_rooms_and_an_end_leaves_them() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let all = [
        room(&alice, json!({ "preset": "public_chat" })).await,
        room(&alice, json!({ "invite": [bob.user_id] })).await,
    ];
    for room in &all {
        bob.post(&rooms(room, "join"), json!({})).await;
    }
    let key = (&*bob.user_id, "displayname");
    let name = json!("Bobby");
    test.server
        .store
        .put::<tables::Profiles>(key, &name)
        .await
        .unwrap();
    update_profiles(&test.server.rooms, &bob.user_id)
        .await
        .unwrap();
    for room in &all {
        let members = alice.get(&rooms(room, "joined_members")).await;
        assert_eq!(
            members["joined"][bob.user_id.as_str()]["display_name"],
            "Bobby"
        );
    }
    leave_all_rooms(&test.server.rooms, &bob.user_id)
        .await
        .unwrap();
    let rooms = bob.get("/_matrix/client/v3/joined_rooms").await;
    assert_eq!(rooms["joined_rooms"], json!([]));
}

#[tokio::test]
async fn not_too_many_events_of_one_person_wait() {
    use crate::limits::DELAYED_EVENTS_PER_USER;

    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    let id = delay(&alice, &room, "one", 60_000).await;
    let store = &test.server.store;
    let waiting = store
        .get::<tables::DelayedEvents>((&*id,))
        .unwrap()
        .unwrap();
    let mut batch = store.batch();
    for number in 1..DELAYED_EVENTS_PER_USER {
        let id = format!("copy{number}");
        batch
            .put::<tables::DelayedEvents>((&*id,), &waiting)
            .unwrap();
    }
    store.commit(batch).await.unwrap();
    let path = rooms(
        &room,
        "send/m.room.message/9?org.matrix.msc4140.delay=60000",
    );
    let (status, _) = alice
        .call(Method::PUT, &path, json!({ "body": "more" }))
        .await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    bob.post(&rooms(&room, "join"), json!({})).await;
    bob.put(&path, json!({ "body": "mine" })).await;
}
