//! What a sync says of keys: messages until they are acknowledged, how many keys are left, whose devices changed.

use serde_json::json;

use super::*;
use crate::testing::TestServer;

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";

async fn sync(person: &TestUser, since: &Value) -> Value {
    let since = since.as_str().map(|since| format!("&since={since}"));
    let since = since.unwrap_or_default();
    person
        .get(&format!("/_matrix/client/v3/sync?timeout=0{since}"))
        .await
}

#[tokio::test]
async fn a_message_comes_again_until_the_sync_behind_it() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let keys = json!({ "one_time_keys": { "signed_curve25519:A": one_time_key(&bob, 1) } });
    bob.post(UPLOAD, keys).await;
    let start = sync(&bob, &Value::Null).await;
    assert_eq!(start["device_one_time_keys_count"]["signed_curve25519"], 1);

    let wanted =
        json!({ "one_time_keys": { &*bob.user_id: { &*bob.device_id: "signed_curve25519" } } });
    alice.post("/_matrix/client/v3/keys/claim", wanted).await;
    let message = json!({ "messages": { &*bob.user_id: { &*bob.device_id: { "n": 1 } } } });
    alice
        .put("/_matrix/client/v3/sendToDevice/m.test/1", message)
        .await;
    for _ in 0..2 {
        let answer = sync(&bob, &start["next_batch"]).await;
        assert_eq!(answer["to_device"]["events"][0]["content"]["n"], 1);
        assert_eq!(answer["device_one_time_keys_count"]["signed_curve25519"], 0);
    }
    let behind = sync(&bob, &start["next_batch"]).await["next_batch"].clone();
    let answer = sync(&bob, &behind).await;
    assert!(answer["to_device"]["events"][0].is_null());
    let answer = sync(&bob, &start["next_batch"]).await;
    assert!(answer["to_device"]["events"][0].is_null());
}

#[tokio::test]
async fn a_sync_names_whose_devices_changed() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = json!({ "preset": "public_chat" });
    let room = alice.post("/_matrix/client/v3/createRoom", room).await["room_id"].clone();
    let start = sync(&alice, &Value::Null).await;
    let join = format!("/_matrix/client/v3/join/{}", room.as_str().unwrap());
    bob.post(&join, json!({})).await;
    let joined = sync(&alice, &start["next_batch"]).await;
    assert_eq!(joined["device_lists"]["changed"], json!([bob.user_id]));

    let keys = device_keys(&bob, &Key::of_device(&bob.device_id));
    bob.post(UPLOAD, json!({ "device_keys": keys })).await;
    let changed = sync(&alice, &joined["next_batch"]).await;
    assert_eq!(changed["device_lists"]["changed"], json!([bob.user_id]));
    let nothing = sync(&alice, &changed["next_batch"]).await;
    assert!(nothing["device_lists"]["changed"].is_null());
}
