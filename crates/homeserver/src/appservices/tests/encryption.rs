//! What a bridge that encrypts is told: messages to its devices, whose keys changed, how many of its own are left.

use super::*;
use crate::testing::TestUser;

/// A device of a user of the application service, with keys.
async fn device(test: &TestServer, ghost: &UserId) -> TestUser {
    let mut bridge = test.with_token(ghost.localpart(), "br-as");
    let login = json!({
        "type": "m.login.application_service", "device_id": "BRIDGE",
        "identifier": { "type": "m.id.user", "user": ghost.localpart() },
    });
    let new = json!({ "type": "m.login.application_service", "username": ghost.localpart(), "inhibit_login": true });
    bridge.post("/_matrix/client/v3/register", new).await;
    bridge.post("/_matrix/client/v3/login", login).await;
    bridge.device_id = "BRIDGE".to_owned();
    bridge
}

fn keys_of(user: &UserId, device: &str) -> Value {
    json!({
        "user_id": user, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("curve25519:{device}"): "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI" },
        "signatures": {},
    })
}

/// Whose keys it was told have changed.
fn changed(double: &Double) -> Vec<Value> {
    let seen = double.seen.lock().unwrap();
    seen.iter()
        .filter_map(|(_, body)| body["device_lists"]["changed"].as_array().cloned())
        .flatten()
        .collect()
}

/// The transaction tells how many keys of the puppet's device are left.
fn assert_counted(transaction: &Value, puppet: &UserId) {
    for prefix in ["", "org.matrix.msc3202."] {
        let counts = &transaction[format!("{prefix}device_one_time_keys_count")];
        assert_eq!(
            counts[puppet.as_str()]["BRIDGE"],
            json!({ "signed_curve25519": 1 })
        );
        let unused = &transaction[format!("{prefix}device_unused_fallback_key_types")];
        assert_eq!(
            unused[puppet.as_str()]["BRIDGE"],
            json!(["signed_curve25519"])
        );
    }
}

#[tokio::test]
async fn it_gets_messages_to_its_devices_and_hears_of_keys() {
    let test = TestServer::start().await;
    let (server, double) = (&test.server, Double::default());
    server
        .add_appservice(
            registration("br", None),
            Delivery::InProcess(double.router()),
        )
        .await
        .unwrap();
    let (alice, carol) = (test.person("alice").await, test.person("carol").await);
    let puppet = ghost("br_one");
    let bridge = device(&test, &puppet).await;
    let room = room(server, &alice.user_id).await;
    add(server, &room, membership(&puppet, &puppet, "join")).await;

    let key = json!({ "key": "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI", "signatures": {} });
    let keys = json!({
        "device_keys": keys_of(&puppet, "BRIDGE"),
        "one_time_keys": { "signed_curve25519:A": key, "signed_curve25519:B": key },
        "fallback_keys": { "signed_curve25519:F": key },
    });
    let upload = format!("/_matrix/client/v3/keys/upload?user_id={puppet}&device_id=BRIDGE");
    bridge.post(&upload, keys).await;
    for person in [&carol, &alice] {
        let keys = json!({ "device_keys": keys_of(&person.user_id, &person.device_id) });
        person.post("/_matrix/client/v3/keys/upload", keys).await;
    }
    let expected = [json!(puppet), json!(alice.user_id)];
    double.until(|double| changed(double).len() >= 2).await;
    assert_eq!(changed(&double), expected, "nobody whom it does not meet");

    let claim = json!({ "one_time_keys": { &*puppet: { "BRIDGE": "signed_curve25519" } } });
    alice.post("/_matrix/client/v3/keys/claim", claim).await;
    let message = json!({ "messages": { &*puppet: { "BRIDGE": { "secret": 1 } } } });
    alice
        .put(
            "/_matrix/client/v3/sendToDevice/m.room.encrypted/1",
            message,
        )
        .await;
    double
        .until(|double| !double.all("to_device").is_empty())
        .await;
    let expected = json!([{
        "type": "m.room.encrypted", "sender": alice.user_id, "content": { "secret": 1 },
        "to_user_id": puppet, "to_device_id": "BRIDGE",
    }]);
    let (_, last) = double.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last["to_device"], expected);
    assert_eq!(last["de.sorunome.msc2409.to_device"], expected);
    assert_counted(&last, &puppet);
    // What was delivered does not come again with a sync, once that is noted.
    let sync = format!("/_matrix/client/v3/sync?user_id={puppet}&device_id=BRIDGE");
    let started = Instant::now();
    while bridge.get(&sync).await.get("to_device").is_some() {
        assert!(started.elapsed() < PATIENCE, "it is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.close().await;
}
