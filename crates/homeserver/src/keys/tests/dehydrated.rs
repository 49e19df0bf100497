//! A dehydrated device takes messages while nobody is there.

use serde_json::json;

use super::*;
use crate::testing::TestServer;

const DEVICE: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";

#[tokio::test]
async fn a_dehydrated_device_takes_messages_until_it_is_deleted() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut sleeper = alice.clone();
    sleeper.device_id = "SLEEPER".to_owned();
    let data = json!({ "algorithm": "org.matrix.msc3814.v2", "device_pickle": "cGlja2xl", "nonce": "bm9uY2U" });
    let upload = json!({
        "device_id": "SLEEPER",
        "initial_device_display_name": "asleep",
        "device_data": data,
        "device_keys": device_keys(&sleeper, &Key::of_device("SLEEPER")),
        "fallback_keys": { "signed_curve25519:F": one_time_key(&sleeper, 1) },
    });
    let (status, _) = alice.call(Method::GET, DEVICE, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    alice.put(DEVICE, upload).await;
    assert_eq!(
        alice.get(DEVICE).await,
        json!({ "device_id": "SLEEPER", "device_data": data })
    );

    let query = json!({ "device_keys": { &*alice.user_id: [] } });
    let shown = bob.post("/_matrix/client/v3/keys/query", query).await;
    let shown = &shown["device_keys"][alice.user_id.as_str()]["SLEEPER"];
    assert_eq!(shown["unsigned"]["device_display_name"], "asleep");
    let message = json!({ "messages": { &*alice.user_id: { "SLEEPER": { "text": "hello" } } } });
    bob.put("/_matrix/client/v3/sendToDevice/m.test/1", message)
        .await;

    let events = format!("{DEVICE}/SLEEPER/events");
    let page = alice.post(&events, json!({})).await;
    assert_eq!(page["events"][0]["content"]["text"], "hello");
    let page = alice
        .post(&events, json!({ "next_batch": page["next_batch"] }))
        .await;
    assert_eq!(page["events"], json!([]));
    alice.ok(Method::DELETE, DEVICE, json!({})).await;
    let (status, _) = alice.call(Method::POST, &events, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
