//! Key backups: versions, and which key replaces which.

use serde_json::json;

use super::*;
use crate::testing::TestServer;

const VERSION: &str = "/_matrix/client/v3/room_keys/version";
const KEYS: &str = "/_matrix/client/v3/room_keys/keys";

fn algorithm(key: &str) -> Value {
    json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": key, "signatures": {} },
    })
}

fn key(verified: bool, first: u32, forwarded: u32) -> Value {
    json!({
        "first_message_index": first,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": { "ephemeral": "YQ", "ciphertext": "Yg", "mac": "Yw" },
    })
}

#[tokio::test]
async fn a_key_is_only_replaced_by_a_better_one() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let version = alice.post(VERSION, algorithm("YWJj")).await["version"].clone();
    assert_eq!(version, "1");
    let path = format!("{KEYS}/!room:letta.test/session?version=1");
    let mut best = key(false, 5, 5);
    let first = alice.put(&path, best.clone()).await;
    assert_eq!(first["count"], 1);
    let mut etag = first["etag"].clone();
    let tries = [
        (key(false, 6, 0), false),
        (key(false, 5, 5), false),
        (key(false, 5, 4), true),
        (key(false, 4, 9), true),
        (key(true, 9, 9), true),
        (key(false, 0, 0), false),
        (key(true, 8, 9), true),
    ];
    for (new, better) in tries {
        let answer = alice.put(&path, new.clone()).await;
        assert_eq!(answer["count"], 1);
        assert_eq!(answer["etag"] != etag, better, "{new}");
        etag = answer["etag"].clone();
        if better {
            best = new;
        }
        assert_eq!(alice.get(&path).await, best);
    }
}

#[tokio::test]
async fn counts_are_exact_and_old_versions_take_no_keys() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let answer = refused(&alice, Method::GET, VERSION, json!({})).await;
    assert_eq!(answer, (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned()));
    alice.post(VERSION, algorithm("YWJj")).await;
    let rooms = json!({ "rooms": {
        "!a:letta.test": { "sessions": { "1": key(false, 0, 0), "2": key(false, 0, 0) } },
        "!b:letta.test": { "sessions": { "1": key(false, 0, 0) } },
    } });
    let answer = alice.put(&format!("{KEYS}?version=1"), rooms.clone()).await;
    assert_eq!(answer["count"], 3);
    assert_eq!(alice.get(&format!("{KEYS}?version=1")).await, rooms);
    let room = format!("{KEYS}/!a:letta.test?version=1");
    assert_eq!(
        alice.get(&room).await["sessions"]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    let answer = alice.ok(Method::DELETE, &room, json!({})).await;
    assert_eq!(answer["count"], 1);
    let info = alice.get(VERSION).await;
    assert_eq!(
        (&info["count"], &info["etag"]),
        (&json!(1), &answer["etag"])
    );

    alice.post(VERSION, algorithm("ZGVm")).await;
    let (status, answer) = alice
        .call(Method::PUT, &format!("{KEYS}?version=1"), rooms)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["errcode"], "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(answer["current_version"], "2");

    let second = format!("{VERSION}/2");
    let other = json!({ "algorithm": "other", "auth_data": {} });
    let answer = refused(&alice, Method::PUT, &second, other).await;
    assert_eq!(answer.0, StatusCode::BAD_REQUEST);
    alice.put(&second, algorithm("Z2hp")).await;
    assert_eq!(alice.get(&second).await["auth_data"]["public_key"], "Z2hp");
    alice.ok(Method::DELETE, &second, json!({})).await;
    assert_eq!(alice.get(VERSION).await["version"], "1");
    // The number of a version that is gone is never used again.
    assert_eq!(alice.post(VERSION, algorithm("YWJj")).await["version"], "3");
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid>: what `session_data` has
/// depends on the algorithm.
#[tokio::test]
async fn backup_of_another_algorithm_takes_keys() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let other = json!({ "algorithm": "org.example.v2", "auth_data": { "any": 1 } });
    alice.post(VERSION, other.clone()).await;
    assert_eq!(alice.get(VERSION).await["auth_data"], other["auth_data"]);
    let path = format!("{KEYS}/!room:letta.test/session?version=1");
    let mut best = key(false, 5, 5);
    best["session_data"] = json!({ "sealed": "box" });
    alice.put(&path, best.clone()).await;
    assert_eq!(alice.get(&path).await, best);
    best["session_data"] = json!("no object");
    let (status, answer) = alice.call(Method::PUT, &path, best).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_BAD_JSON"))
    );
}
