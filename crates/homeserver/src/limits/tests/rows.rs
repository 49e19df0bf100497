//! Rows that make room for newer ones, and rows for what does not exist.

use ruma::OwnedEventId;

use super::*;
use crate::{
    limits::{RECEIPT_THREADS_PER_ROOM, REPORTS_PER_USER},
    store::tables,
    stream::Position,
    sync::record::Receipt,
};

async fn send(who: &TestUser, room: &OwnedRoomId, txn: &str) -> OwnedEventId {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}");
    let sent = who.put(&path, json!({ "msgtype": "m.text", "body": txn }));
    sent.await["event_id"].as_str().unwrap().try_into().unwrap()
}

#[tokio::test]
async fn receipts_are_for_threads_that_can_exist() {
    let table = Table::new().await;
    let (alice, room) = table.somebody("alice").await;
    let (_, other_room) = table.somebody("bob").await;
    let (root, event) = (
        send(&alice, &room, "root").await,
        send(&alice, &room, "reply").await,
    );
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
    let before = table.test.server.store.fingerprint();
    let elsewhere = table.test.server.rooms.state(&other_room).all().unwrap()[0]
        .event_id
        .to_string();
    for thread in ["$made-up", "$made:up", &elsewhere] {
        let body = json!({ "thread_id": thread });
        let (status, answer) = alice.call(Method::POST, &path, body).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::BAD_REQUEST, &json!("M_INVALID_PARAM")),
            "{thread}"
        );
    }
    assert_eq!(table.test.server.store.fingerprint(), before);
    alice.post(&path, json!({ "thread_id": root })).await;
    alice.post(&path, json!({ "thread_id": "main" })).await;
    alice.post(&path, json!({})).await;
}

#[tokio::test]
async fn oldest_threaded_receipt_makes_room_for_the_newest() {
    let table = Table::new().await;
    let (alice, room) = table.somebody("alice").await;
    let (root, event) = (
        send(&alice, &room, "root").await,
        send(&alice, &room, "reply").await,
    );
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
    alice.post(&path, json!({})).await;
    let store = &table.test.server.store;
    let mut batch = store.batch();
    for number in 1..=RECEIPT_THREADS_PER_ROOM {
        let (position, thread) = (Position(number as u64), format!("$thread{number}"));
        let receipt = Receipt {
            user_id: alice.user_id.clone(),
            receipt_type: "m.read".to_owned(),
            event_id: event.clone(),
            thread: Some(thread.clone()),
            time: crate::clock::now(),
        };
        batch
            .put::<tables::Receipts>((&room, position), &receipt)
            .unwrap();
        let place = (&room, &alice.user_id, "m.read", &*thread);
        batch
            .put::<tables::ReceiptPlaces>(place, &position)
            .unwrap();
    }
    store.commit(batch).await.unwrap();
    alice.post(&path, json!({ "thread_id": root })).await;
    let places = store.scan::<tables::ReceiptPlaces>((&room, &alice.user_id, "m.read"));
    // One more is for the room as a whole.
    assert_eq!(places.count(), RECEIPT_THREADS_PER_ROOM + 1);
    let oldest = (&room, &alice.user_id, "m.read", "$thread1");
    assert!(!store.contains::<tables::ReceiptPlaces>(oldest).unwrap());
    assert!(
        !store
            .contains::<tables::Receipts>((&room, Position(1)))
            .unwrap()
    );
}

#[tokio::test]
async fn oldest_report_makes_room_for_the_newest() {
    let table = Table::new().await;
    let (alice, room) = table.somebody("alice").await;
    let (bob, _) = table.somebody("bob").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/report");
    bob.post(&path, json!({ "reason": "bob" })).await;
    for number in 0..=REPORTS_PER_USER {
        let reason = format!("report {number}");
        alice.post(&path, json!({ "reason": reason })).await;
    }
    let reports = table.test.server.store.scan::<tables::Reports>(());
    let reasons: Vec<Value> = reports
        .map(|row| row.unwrap().1["reason"].clone())
        .collect();
    assert_eq!(reasons.len(), REPORTS_PER_USER + 1);
    assert_eq!(reasons[..2], [json!("bob"), json!("report 1")]);
}

#[tokio::test]
async fn account_data_is_for_rooms_that_the_user_was_in() {
    let table = Table::new().await;
    let (alice, room) = table.somebody("alice").await;
    let (_, other_room) = table.somebody("bob").await;
    let before = table.test.server.store.fingerprint();
    for room in [other_room.as_str(), "!made-up:letta.test"] {
        for kind in ["account_data/org.example.x", "tags/u.x"] {
            let path = format!(
                "/_matrix/client/v3/user/{}/rooms/{room}/{kind}",
                alice.user_id
            );
            let (status, answer) = alice.call(Method::PUT, &path, json!({})).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{room} {kind}: {answer}");
        }
    }
    assert_eq!(table.test.server.store.fingerprint(), before);
    let leave = format!("/_matrix/client/v3/rooms/{room}/leave");
    alice.post(&leave, json!({})).await;
    let path = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/tags/u.x",
        alice.user_id
    );
    alice.put(&path, json!({})).await;
}

#[tokio::test]
async fn status_message_from_before_the_limit_is_sent_to_nobody() {
    let table = Table::new().await;
    let (alice, _) = table.somebody("alice").await;
    let stored = json!({ "state": "online", "message": long(1 << 20), "active": 1 });
    let store = &table.test.server.store;
    store
        .put::<tables::Presence>((&alice.user_id,), &stored)
        .await
        .unwrap();
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    let status = alice.get(&path).await;
    assert_eq!(status.get("status_msg"), None);
}
