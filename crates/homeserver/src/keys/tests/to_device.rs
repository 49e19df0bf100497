//! Messages to devices: in order, once, until they are acknowledged.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::json;

use super::*;
use crate::{
    accounts::record::Device, keys::to_device, store::tables, stream::Position, testing::TestServer,
};

type Addressee = (OwnedUserId, OwnedDeviceId);

fn device(person: &Person) -> Addressee {
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
    let messages = messages.into_iter();
    messages
        .map(|(position, event)| (position, serde_json::to_value(&event).unwrap()))
        .collect()
}

async fn send(from: &Person, txn: &str, messages: Value) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    from.put(&path, json!({ "messages": messages })).await;
}

#[tokio::test]
async fn messages_keep_their_order_and_wait_over_a_restart_until_they_are_acknowledged() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let tablet = test.person("bob").await;
    let one =
        |person: &Person, n: u8| json!({ &*person.user_id: { &*person.device_id: { "n": n } } });
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
    let (store, mut write) = (&test.server.store, test.server.stream.write());
    let old = serde_json::value::to_raw_value(&json!({ "content": { "n": "old" } })).unwrap();
    for _ in 0..crate::limits::TO_DEVICE_WAITING_MAX {
        let slot = write.position();
        let (user, phone, old) = (user.clone(), phone.clone(), old.clone());
        write.row(move |batch, positions| {
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
