//! Account data that is deleted. Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/3391>

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

const DELETE: &str = "/_matrix/client/unstable/org.matrix.msc3391";

async fn status(user: &TestUser, method: Method, path: &str) -> StatusCode {
    user.call(method, path, json!({})).await.0
}

fn told(sync: &Value, room: Option<&str>) -> Vec<Value> {
    let data = match room {
        Some(room) => &sync["rooms"]["join"][room]["account_data"],
        None => &sync["account_data"],
    };
    let events = data["events"].as_array().cloned().unwrap_or_default();
    let mine = events
        .into_iter()
        .filter(|event| event["type"] == "org.example");
    mine.map(|event| event["content"].clone()).collect()
}

#[tokio::test]
async fn deleted_account_data_is_told_once_and_gone() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let made = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = made["room_id"].as_str().unwrap();
    let own = format!("user/{}", alice.user_id);
    for (path, room) in [
        (format!("{own}/account_data/org.example"), None),
        (
            format!("{own}/rooms/{room}/account_data/org.example"),
            Some(room),
        ),
    ] {
        let (set, delete) = (
            format!("/_matrix/client/v3/{path}"),
            format!("{DELETE}/{path}"),
        );
        assert_eq!(
            status(&alice, Method::DELETE, &delete).await,
            StatusCode::NOT_FOUND
        );
        alice.put(&set, json!({ "a": 1 })).await;
        let sync = alice.get("/_matrix/client/v3/sync?timeout=0").await;
        assert_eq!(told(&sync, room), [json!({ "a": 1 })]);
        assert_eq!(
            status(&alice, Method::DELETE, &delete).await,
            StatusCode::OK
        );
        assert_eq!(
            status(&alice, Method::GET, &set).await,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            status(&alice, Method::DELETE, &delete).await,
            StatusCode::NOT_FOUND
        );
        let since = sync["next_batch"].as_str().unwrap();
        let later = format!("/_matrix/client/v3/sync?timeout=0&since={since}");
        assert_eq!(told(&alice.get(&later).await, room), [json!({})]);
        let first = alice.get("/_matrix/client/v3/sync?timeout=0").await;
        assert_eq!(told(&first, room), [] as [Value; 0]);
        alice.put(&set, json!({ "a": 2 })).await;
        assert_eq!(alice.get(&set).await, json!({ "a": 2 }));
    }
    let rules = format!("{DELETE}/{own}/account_data/m.push_rules");
    assert_eq!(
        status(&alice, Method::DELETE, &rules).await,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let bob = test.person("bob").await;
    let foreign = format!("{DELETE}/{own}/account_data/org.example");
    assert_eq!(
        status(&bob, Method::DELETE, &foreign).await,
        StatusCode::FORBIDDEN
    );
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid>: 404 if the event is not there
/// or may not be read.
#[tokio::test]
async fn event_of_a_room_never_joined_is_not_found() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let made = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = made["room_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let sent = alice
        .put(&path, json!({ "body": "x", "msgtype": "m.text" }))
        .await;
    let event = sent["event_id"].as_str().unwrap();
    for room in [room, "!none:letta.test"] {
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
        let (status, answer) = bob.call(Method::GET, &path, json!({})).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND"))
        );
    }
}
