//! Messages to devices: in order, once, until they are acknowledged.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::json;

use super::*;
use crate::{
    accounts::record::Device, keys::to_device, store::tables, stream::Position, testing::TestServer,
};

type Addressee = (OwnedUserId, OwnedDeviceId);

fn device(person: &TestUser) -> Addressee {
    (person.user_id.clone(), person.device_id.as_str().into())
}

/// What waits for a device after a position: positions and contents.
fn waiting(
    test: &TestServer,
    (user, device): &Addressee,
    after: Position,
) -> Vec<(Position, Value)> {
    let (store, visible) = (&test.server.store, test.server.stream.visible());
    let messages = to_device::pending(store, user, device, after, visible, 100).unwrap();
    let messages = messages.messages.into_iter();
    messages
        .map(|(position, event)| (position, serde_json::to_value(&event).unwrap()))
        .collect()
}

async fn send(from: &TestUser, txn: &str, messages: Value) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    from.put(&path, json!({ "messages": messages })).await;
}

#[tokio::test]
async fn messages_keep_their_order_and_wait_over_a_restart_until_they_are_acknowledged() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let tablet = test.person("bob").await;
    let one =
        |person: &TestUser, n: u8| json!({ &*person.user_id: { &*person.device_id: { "n": n } } });
    send(&alice, "a", one(&bob, 1)).await;
    send(&alice, "a", one(&bob, 1)).await;
    send(&alice, "b", json!({ &*bob.user_id: { "*": { "n": 2 } } })).await;
    send(&alice, "c", one(&bob, 3)).await;
    send(
        &alice,
        "d",
        json!({ &*bob.user_id: { "UNKNOWN": { "n": 4 } } }),
    )
    .await;

    let (phone, laptop) = (device(&bob), device(&tablet));
    let sender = alice.user_id.clone();
    // Whoever can call the server keeps its database open.
    drop((alice, bob, tablet));
    let test = test.restart().await;
    let start = Position::default();
    let messages = waiting(&test, &phone, start);
    let numbers: Vec<_> = messages
        .iter()
        .map(|(_, event)| &event["content"]["n"])
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let expected = json!({ "type": "m.test", "sender": sender, "content": { "n": 1 } });
    assert_eq!(messages[0].1, expected);
    assert_eq!(waiting(&test, &laptop, start).len(), 1);

    let (store, acknowledged) = (&test.server.store, messages[1].0);
    assert_eq!(waiting(&test, &phone, acknowledged).len(), 1);
    let mut batch = store.batch();
    to_device::delete_up_to(store, &mut batch, &phone.0, &phone.1, acknowledged).unwrap();
    store.commit(batch).await.unwrap();
    let left = waiting(&test, &phone, start);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1["content"]["n"], 3);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let large = "x".repeat(crate::limits::TO_DEVICE_CONTENT_MAX_BYTES);
    let body = json!({ "messages": { &*alice.user_id: { "*": { "text": large } } } });
    let path = "/_matrix/client/v3/sendToDevice/m.test/1";
    let answer = refused(&alice, Method::PUT, path, body).await;
    assert_eq!(
        answer,
        (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE".to_owned())
    );
    assert!(waiting(&test, &device(&alice), Position::default()).is_empty());
}

#[tokio::test]
async fn message_to_many_devices_that_is_too_large_for_all_of_them_is_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let text = "x".repeat(crate::limits::TO_DEVICE_CONTENT_MAX_BYTES / 2);
    let devices = crate::limits::TO_DEVICE_KEPT_MAX_BYTES / text.len() + 1;
    let mut batch = test.server.store.batch();
    for number in 0..devices {
        let id = OwnedDeviceId::from(format!("D{number}"));
        batch
            .put::<tables::Devices>((&alice.user_id, &*id), &Device::default())
            .unwrap();
    }
    test.server.store.commit(batch).await.unwrap();
    let body =
        |device: &str| json!({ "messages": { &*alice.user_id: { device: { "text": text } } } });
    let path = |txn: &str| format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    alice.put(&path("1"), body("D1")).await;
    let answer = refused(&alice, Method::PUT, &path("2"), body("*")).await;
    assert_eq!(
        answer,
        (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE".to_owned())
    );
    assert!(waiting(&test, &device(&alice), Position::default()).is_empty());
}

#[tokio::test]
async fn a_device_that_never_syncs_loses_its_oldest_messages() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let (user, phone) = device(&bob);
    let (store, mut write) = (&test.server.store, test.server.stream.begin_write());
    let old = serde_json::value::to_raw_value(&json!({ "content": { "n": "old" } })).unwrap();
    for _ in 0..crate::limits::TO_DEVICE_WAITING_MAX {
        let slot = write.reserve_position();
        let (user, phone, old) = (user.clone(), phone.clone(), old.clone());
        write.add_row(move |batch, positions| {
            batch.put::<tables::ToDevice>((&user, &phone, positions.of(slot)), &old)
        });
    }
    test.server.stream.commit(write).await.unwrap();
    let news = usize::try_from(to_device::TRIM_EVERY).unwrap();
    for n in 0..news {
        send(
            &alice,
            &n.to_string(),
            json!({ &*user: { &*phone: { "n": n } } }),
        )
        .await;
    }
    let keys = store
        .scan::<tables::ToDevice>((&user, &phone))
        .keys()
        .count();
    assert!(
        keys < crate::limits::TO_DEVICE_WAITING_MAX + news,
        "{keys} wait"
    );
    assert!(keys >= crate::limits::TO_DEVICE_WAITING_MAX, "{keys} wait");
    let newest = store
        .scan_back::<tables::ToDevice>((&user, &phone))
        .next()
        .unwrap()
        .unwrap()
        .1;
    assert!(newest.get().contains(&format!("{}", news - 1)), "{newest}");
}

/// All messages of one sender, left with as many requests as it takes.
async fn flood(from: &TestUser, to: &TestUser, count: usize, text: &str) {
    for n in 0..count {
        let body = json!({ &*to.user_id: { &*to.device_id: { "n": n, "text": text } } });
        send(from, &format!("flood{n}"), body).await;
    }
}

#[tokio::test]
async fn messages_to_a_device_hold_up_no_rooms() {
    let large = "x".repeat(60_000);
    // Too many for one answer, and too large for one.
    for (count, text) in [(250, ""), (40, large.as_str())] {
        let test = TestServer::start().await;
        let (alice, bob) = (test.person("alice").await, test.person("bob").await);
        let body = json!({ "preset": "public_chat" });
        let room = alice.post("/_matrix/client/v3/createRoom", body).await;
        let room = room["room_id"].as_str().unwrap().to_owned();
        let join = format!("/_matrix/client/v3/rooms/{room}/join");
        bob.post(&join, json!({})).await;
        let sync = "/_matrix/client/v3/sync?timeout=0";
        let mut since = bob.get(sync).await["next_batch"]
            .as_str()
            .unwrap()
            .to_owned();
        flood(&alice, &bob, count, text).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
        let said = json!({ "msgtype": "m.text", "body": "hello" });
        alice.put(&path, said).await;

        let (mut numbers, mut hellos) = (Vec::new(), Vec::new());
        for round in 0.. {
            let path = format!("{sync}&since={since}");
            let answer = bob.get(&path).await;
            since = answer["next_batch"].as_str().unwrap().to_owned();
            let to_device = answer["to_device"]["events"].as_array();
            let to_device = to_device.cloned().unwrap_or_default();
            let size: usize = to_device.iter().map(|event| event.to_string().len()).sum();
            assert!(size <= crate::limits::TO_DEVICE_ANSWER_MAX_BYTES, "{size}");
            assert!(to_device.len() <= crate::limits::SYNC_TO_DEVICE_MAX);
            numbers.extend(to_device.iter().map(|event| event["content"]["n"].clone()));
            let timeline = &answer["rooms"]["join"][&room]["timeline"]["events"];
            let events = timeline.as_array().into_iter().flatten();
            let hello = events.filter(|event| event["content"]["body"] == "hello");
            hellos.extend(hello.map(|_| round));
            if to_device.is_empty() {
                break;
            }
        }
        assert_eq!(hellos, [0], "the message comes with the first answer, once");
        let all: Vec<Value> = (0..count).map(|n| json!(n)).collect();
        assert_eq!(numbers, all, "each message once, in their order");
        assert!(waiting(&test, &device(&bob), Position::default()).is_empty());
        // Pages take the token of a sync that is behind, too.
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&from={since}_d1");
        bob.get(&path).await;
    }
}

#[tokio::test]
async fn flood_of_one_sender_pushes_out_nothing_of_others() {
    let test = TestServer::start().await;
    let (alice, mallory) = (test.person("alice").await, test.person("mallory").await);
    let bob = test.person("bob").await;
    let (user, phone) = device(&bob);
    for n in 0..20 {
        send(
            &alice,
            &n.to_string(),
            json!({ &*user: { &*phone: { "n": n } } }),
        )
        .await;
    }
    let mut write = test.server.stream.begin_write();
    let old = json!({ "sender": mallory.user_id, "content": { "n": "flood" } });
    let old = serde_json::value::to_raw_value(&old).unwrap();
    for _ in 0..crate::limits::TO_DEVICE_WAITING_MAX {
        let slot = write.reserve_position();
        let (user, phone, old) = (user.clone(), phone.clone(), old.clone());
        write.add_row(move |batch, positions| {
            batch.put::<tables::ToDevice>((&user, &phone, positions.of(slot)), &old)
        });
    }
    test.server.stream.commit(write).await.unwrap();
    let news = usize::try_from(to_device::TRIM_EVERY).unwrap();
    flood(&mallory, &bob, news, "").await;
    let first = waiting(&test, &(user.clone(), phone.clone()), Position::default());
    let numbers: Vec<_> = first
        .iter()
        .map(|(_, event)| &event["content"]["n"])
        .take(20)
        .collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    let store = &test.server.store;
    let rows = store.scan::<tables::ToDevice>((&user, &phone)).keys();
    assert!(rows.count() < crate::limits::TO_DEVICE_WAITING_MAX + news);
}
