//! Messages to devices and changes of device lists in a sync.

use ruma::to_device::DeviceIdOrAllDevices;
use serde_json::{Value, json, value::to_raw_value};

use super::{join, next, room, sync};
use crate::{
    keys::{self, to_device::Message},
    testing::{TestServer, TestUser},
};

async fn send(test: &TestServer, from: &TestUser, to: &TestUser, id: &str) {
    let message = Message {
        user: to.user_id.clone(),
        device: DeviceIdOrAllDevices::AllDevices,
        content: to_raw_value(&json!({ "id": id })).unwrap(),
    };
    let seen = (from.device_id.as_str(), id);
    keys::to_device::send(&test.server.keys, &from.user_id, "m.tea", seen, &[message])
        .await
        .unwrap();
}

fn got(answer: &Value) -> Vec<&str> {
    let events = answer["to_device"]["events"].as_array();
    let events = events.into_iter().flatten();
    events
        .map(|event| event["content"]["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn messages_to_a_device_stay_until_it_has_them() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut last = sync(&bob, "").await;
    let since = last["next_batch"].as_str().unwrap().to_owned();
    send(&test, &alice, &bob, "one").await;
    assert_eq!(got(&next(&bob, &mut last, "").await), ["one"]);
    // The answer was lost: the device asks as before.
    let again = sync(&bob, &format!("since={since}")).await;
    assert_eq!(got(&again), ["one"]);
    send(&test, &alice, &bob, "two").await;
    assert_eq!(got(&next(&bob, &mut last, "").await), ["two"]);
    assert!(got(&next(&bob, &mut last, "").await).is_empty());
    // Now it is gone for good, even for somebody who asks from the start.
    assert!(got(&sync(&bob, "").await).is_empty());
}

#[tokio::test]
async fn more_messages_than_fit_come_in_their_order() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut last = sync(&bob, "").await;
    let sent: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    for id in &sent {
        send(&test, &alice, &bob, id).await;
    }
    let mut all: Vec<String> = Vec::new();
    for _ in 0..4 {
        let answer = next(&bob, &mut last, "").await;
        all.extend(got(&answer).into_iter().map(ToOwned::to_owned));
    }
    assert_eq!(all, sent);
}

#[tokio::test]
async fn changed_devices_are_told_to_those_who_share_a_room() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let mut of_bob = sync(&bob, "").await;
    let mut of_carol = sync(&carol, "").await;
    assert_eq!(of_bob["device_one_time_keys_count"]["signed_curve25519"], 0);
    assert_eq!(of_bob["device_unused_fallback_key_types"], json!([]));
    let mut write = test.server.stream.begin_write();
    keys::record_device_list_change(&mut write, &alice.user_id);
    write.wake_after_commit(
        keys::device_lists::wake_targets(&test.server.store, &alice.user_id).unwrap(),
    );
    test.server.stream.commit(write).await.unwrap();
    let answer = next(&bob, &mut of_bob, "").await;
    assert_eq!(answer["device_lists"]["changed"], json!([alice.user_id]));
    assert!(next(&carol, &mut of_carol, "").await["device_lists"].is_null());
}
