//! Every request that has what the specification requires, and nothing else, is understood: ruma's types ask for more at times.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::specification::{OPERATIONS, filled};
use crate::testing::TestServer;

/// Where the answer may say that something is missing or wrong although the schema does not.
const ASKS_FOR_MORE: &[&str] = &[
    // The field that the path names.
    "PUT /_matrix/client/v3/profile/{userId}/{keyName}",
    // What `auth_data` has depends on the algorithm.
    "POST /_matrix/client/v3/room_keys/version",
];

#[derive(Deserialize)]
struct Operation {
    method: String,
    path: String,
    body: Option<Body>,
}

#[derive(Deserialize)]
struct Body {
    schema: Value,
    #[serde(rename = "type")]
    kind: String,
}

/// The least that the schema allows.
fn least(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        None if schema["type"].is_array() => Value::Null,
        Some("string") => match schema["format"].as_str() {
            Some("mx-user-id") => json!("@bob:letta.test"),
            Some("mx-room-id") => json!("!room:letta.test"),
            Some("mx-mxc-uri") => json!("mxc://letta.test/file"),
            _ => json!("11"),
        },
        Some("boolean") => json!(true),
        Some("integer" | "number") => json!(1),
        Some("array") => json!([]),
        _ => {
            let mut object = Map::new();
            let parts = schema["allOf"].as_array().cloned().unwrap_or_default();
            for part in parts {
                object.extend(least(&part).as_object().cloned().unwrap_or_default());
            }
            for key in schema["required"].as_array().into_iter().flatten() {
                let key = key.as_str().unwrap();
                object.insert(key.to_owned(), least(&schema["properties"][key]));
            }
            Value::Object(object)
        }
    }
}

#[tokio::test]
async fn request_with_only_required_keys_is_understood() {
    let test = TestServer::start().await;
    let operations: Vec<Operation> = serde_json::from_str(OPERATIONS).unwrap();
    let (mut refused, mut asked) = (Vec::new(), 0);
    for operation in &operations {
        let Some(body) = operation
            .body
            .as_ref()
            .filter(|body| body.kind == "application/json")
        else {
            continue;
        };
        let alice = test.person("alice").await;
        let method: Method = operation.method.parse().unwrap();
        let path = filled(&operation.path);
        let (_, answer) = alice.call(method, &path, least(&body.schema)).await;
        asked += 1;
        let errcode = answer["errcode"].as_str().unwrap_or_default();
        let name = format!("{} {}", operation.method, operation.path.trim());
        if matches!(errcode, "M_MISSING_PARAM" | "M_BAD_JSON" | "M_NOT_JSON") {
            refused.push(format!("{name}: {}", answer["error"]));
        }
    }
    assert!(asked > 50);
    let names = refused.iter().filter_map(|line| line.split(": ").next());
    let unexpected: Vec<_> = names.filter(|name| !ASKS_FOR_MORE.contains(name)).collect();
    assert!(unexpected.is_empty(), "{refused:#?}");
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#password-based> (`user` is deprecated, and stays allowed),
/// <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>, and `conditions` of
/// <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid>.
#[tokio::test]
async fn optional_keys_are_optional() {
    let test = TestServer::start().await;
    let made = test
        .server
        .operations
        .create_account("alice", Some("correct horse"));
    let alice = test.log_in(&made.await.unwrap()).await;
    let room = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = room["room_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&path, json!({ "typing": true })).await;
    for kind in ["override", "underride"] {
        let path = format!("/_matrix/client/v3/pushrules/global/{kind}/mine");
        alice.put(&path, json!({ "actions": ["notify"] })).await;
        assert_eq!(alice.get(&path).await["conditions"], json!([]), "{kind}");
    }
    let auth = json!({ "type": "m.login.password", "user": "alice", "password": "correct horse" });
    let other = test.log_in(&alice.user_id).await;
    let path = format!("/_matrix/client/v3/devices/{}", other.device_id);
    alice
        .ok(Method::DELETE, &path, json!({ "auth": auth }))
        .await;
    let body = json!({ "auth": auth, "new_password": "battery staple" });
    alice
        .post("/_matrix/client/v3/account/password", body)
        .await;
}
