//! Sending, sending again, and taking back.

use http::{Method, StatusCode};
use ruma::EventId;
use serde_json::json;

use super::{refused, room, rooms};
use crate::testing::TestServer;

#[tokio::test]
async fn a_request_that_is_sent_again_makes_no_second_event_even_after_a_restart() {
    let test = TestServer::start().await;
    let mut alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let path = rooms(&room, "send/m.room.message/one");
    let hello = json!({ "msgtype": "m.text", "body": "hello" });
    let (first, again) = tokio::join!(
        alice.put(&path, hello.clone()),
        alice.put(&path, hello.clone())
    );
    assert_eq!(first, again);
    let token = alice.token.clone();
    drop(alice);
    let test = test.restart().await;
    alice = test.with_token("alice", &token);
    assert_eq!(alice.put(&path, hello.clone()).await, first);
    let other = rooms(&room, "send/m.room.message/two");
    assert_ne!(alice.put(&other, hello).await, first);
}

#[tokio::test]
async fn the_same_state_again_is_the_same_event() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let path = rooms(&room, "state/m.room.topic/");
    let first = alice.put(&path, json!({ "topic": "tea" })).await;
    assert_eq!(alice.put(&path, json!({ "topic": "tea" })).await, first);
    assert_ne!(alice.put(&path, json!({ "topic": "milk" })).await, first);
}

#[tokio::test]
async fn what_is_redacted_is_gone_and_only_those_take_back_who_may() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    for version in ["10", "11", "12"] {
        let body = json!({ "room_version": version, "preset": "public_chat" });
        let room = room(&alice, body).await;
        bob.post(&rooms(&room, "join"), json!({})).await;
        let secret = json!({ "msgtype": "m.text", "body": "secret" });
        let mut ids = Vec::new();
        for (person, txn) in [(&alice, "a"), (&bob, "b")] {
            let path = rooms(&room, &format!("send/m.room.message/{txn}"));
            let sent = person.put(&path, secret.clone()).await;
            ids.push(sent["event_id"].as_str().unwrap().to_owned());
        }
        let hers = rooms(&room, &format!("redact/{}/r", ids[0]));
        let forbidden = StatusCode::FORBIDDEN;
        refused(
            &bob,
            Method::PUT,
            &hers,
            json!({}),
            forbidden,
            "M_FORBIDDEN",
        )
        .await;
        let his = rooms(&room, &format!("redact/{}/r", ids[1]));
        bob.put(&his, json!({ "reason": "typo" })).await;
        alice.put(&hers, json!({})).await;
        for id in &ids {
            let event = EventId::parse(id).unwrap();
            let pdu = test.server.rooms.event(&event).unwrap().unwrap();
            assert!(!pdu.json.get().contains("secret"), "{}", pdu.json);
            assert!(pdu.redacted_by.is_some());
        }
        let unknown = rooms(&room, "redact/$nothing/x");
        refused(
            &bob,
            Method::PUT,
            &unknown,
            json!({}),
            StatusCode::NOT_FOUND,
            "M_NOT_FOUND",
        )
        .await;
    }
}
