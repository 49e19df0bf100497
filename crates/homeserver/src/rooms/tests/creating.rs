//! Rooms that begin with much, and what others can do while one is made.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{refused, room, rooms};
use crate::{
    limits::{INITIAL_STATE_MAX, INITIAL_STATE_MAX_BYTES},
    store::tables,
    stream::Position,
    testing::{TestServer, TestUser},
};

const CREATE: &str = "/_matrix/client/v3/createRoom";

fn initial_state(count: usize, content: &Value) -> Value {
    let events = (0..count).map(
        |n| json!({ "type": "org.example.thing", "state_key": n.to_string(), "content": content }),
    );
    events.collect()
}

/// What making a room costs: reads of the database, events looked up while others are authorized, bytes written.
async fn work(test: &TestServer, maker: &TestUser, state: Value) -> BTreeMap<&'static str, u64> {
    let work = &test.server.rooms.work;
    let (reads, writes) = (test.server.store.reads(), test.server.store.written());
    work.take();
    let id = room(maker, json!({ "initial_state": state })).await;
    assert!(
        test.server
            .rooms
            .exists(id.as_str().try_into().unwrap())
            .unwrap()
    );
    BTreeMap::from([
        ("reads", test.server.store.reads() - reads),
        ("bytes", test.server.store.written() - writes),
        ("lookups", work.take()),
    ])
}

#[tokio::test]
async fn making_a_room_is_linear_in_its_initial_state() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let (few, many) = (INITIAL_STATE_MAX / 10, INITIAL_STATE_MAX);
    for content in [json!({ "a": 1 }), json!({ "displayname": "x".repeat(300) })] {
        let of_few = work(&test, &alice, initial_state(few, &content)).await;
        let of_many = work(&test, &alice, initial_state(many, &content)).await;
        for (what, few) in of_few {
            let many = of_many[what];
            assert!(many <= 12 * few, "{what}: {few} became {many}");
        }
    }
}

#[tokio::test]
async fn initial_state_beyond_its_limits_is_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let large = json!({ "text": "x".repeat(60_000) });
    for state in [
        initial_state(INITIAL_STATE_MAX + 1, &json!({})),
        initial_state(8_000, &json!({})),
        initial_state(INITIAL_STATE_MAX_BYTES / 60_000 + 1, &large),
    ] {
        let body = json!({ "initial_state": state, "room_alias_name": "free" });
        let bad = StatusCode::BAD_REQUEST;
        refused(&alice, Method::POST, CREATE, body, bad, "M_INVALID_PARAM").await;
    }
    room(&alice, json!({ "room_alias_name": "free" })).await;
}

#[tokio::test]
async fn others_name_rooms_and_send_while_a_room_is_made() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let other = room(&bob, json!({})).await;
    let hold = test.server.rooms.gate.close_new();
    let state = initial_state(INITIAL_STATE_MAX, &json!({}));
    let making = tokio::spawn({
        let alice = alice.clone();
        let body = json!({ "initial_state": state, "room_alias_name": "wanted" });
        async move { alice.call(Method::POST, CREATE, body).await }
    });
    hold.reached().await;
    assert_eq!(test.server.stream.open_places(), 0, "no position is taken");
    bob.put(
        &rooms(&other, "send/m.room.message/1"),
        json!({ "msgtype": "m.text", "body": "hello" }),
    )
    .await;
    let synced = bob.get("/_matrix/client/v3/sync").await;
    let events = &synced["rooms"]["join"][&other]["timeline"]["events"];
    assert_eq!(
        events.as_array().unwrap().last().unwrap()["content"]["body"],
        "hello"
    );
    room(&bob, json!({ "room_alias_name": "another" })).await;
    // Not even the alias that the room is to have is held: whoever is ready first gets it.
    let path = "/_matrix/client/v3/directory/room/%23wanted:letta.test";
    bob.put(path, json!({ "room_id": other })).await;
    assert!(!making.is_finished());
    hold.open();
    let (status, answer) = making.await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert_eq!(answer["errcode"], "M_ROOM_IN_USE");
    assert_eq!(bob.get(path).await["room_id"], other);
    assert!(alice.get("/_matrix/client/v3/joined_rooms").await["joined_rooms"] == json!([]));
}

#[tokio::test]
async fn only_one_of_many_gets_an_alias() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let making = (0..12).map(|_| {
        let alice = alice.clone();
        let body = json!({ "room_alias_name": "wanted", "name": "one of many" });
        tokio::spawn(async move { alice.call(Method::POST, CREATE, body).await.0 })
    });
    let mut made = 0;
    for status in making.collect::<Vec<_>>() {
        made += usize::from(status.await.unwrap() == StatusCode::OK);
    }
    assert_eq!(made, 1);
    let joined = alice.get("/_matrix/client/v3/joined_rooms").await;
    assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn upgraded_room_takes_over_more_than_one_write_holds() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let children = (0..INITIAL_STATE_MAX).map(|n| {
        let child = format!("!child{n}:letta.test");
        json!({ "type": "m.space.child", "state_key": child, "content": { "via": ["letta.test"] } })
    });
    let body = json!({ "initial_state": children.collect::<Value>(), "name": "Old", "room_version": "11" });
    let old = room(&alice, body).await;
    for n in 0..3 {
        let child = rooms(&old, &format!("state/m.space.child/!more{n}:letta.test"));
        alice.put(&child, json!({ "via": ["letta.test"] })).await;
    }
    let upgraded = alice
        .post(&rooms(&old, "upgrade"), json!({ "new_version": "12" }))
        .await;
    let new = upgraded["replacement_room"].as_str().unwrap();
    let state = alice.get(&rooms(new, "state")).await;
    let state = state.as_array().unwrap();
    let children = state
        .iter()
        .filter(|event| event["type"] == "m.space.child");
    assert_eq!(children.count(), INITIAL_STATE_MAX + 3);
    let depths = test
        .server
        .rooms
        .events_up(new.try_into().unwrap(), Position::default());
    let depths: Vec<u64> = depths.map(|pdu| pdu.unwrap().depth).collect();
    assert!(depths.iter().copied().eq(1..=depths.len() as u64));
}

#[tokio::test]
async fn writer_that_waited_for_a_room_that_ended_finds_none() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, json!({})).await;
    let id: &ruma::RoomId = id.as_str().try_into().unwrap();
    let rooms = &test.server.rooms;
    let first = rooms.write(id).await.unwrap();
    let mut second = std::pin::pin!(rooms.write(id));
    assert!(second.as_mut().now_or_never().is_none());
    let mut batch = test.server.store.batch();
    batch.delete::<tables::Rooms>((id,)).unwrap();
    test.server.store.commit(batch).await.unwrap();
    drop(first);
    assert!(second.await.is_err());
}
