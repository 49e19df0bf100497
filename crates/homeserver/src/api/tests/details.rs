//! Details that clients and suites look at.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

async fn room(person: &TestUser, wish: Value) -> String {
    let made = person.post("/_matrix/client/v3/createRoom", wish).await;
    made["room_id"].as_str().unwrap().to_owned()
}

fn path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{rest}")
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms>
#[tokio::test]
async fn public_rooms_say_their_join_rule() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for rule in ["public", "knock"] {
        let initial = json!([{ "type": "m.room.join_rules", "content": { "join_rule": rule } }]);
        let wish = json!({ "name": rule, "visibility": "public", "initial_state": initial });
        room(&alice, wish).await;
    }
    let listed = alice.get("/_matrix/client/v3/publicRooms").await;
    for entry in listed["chunk"].as_array().unwrap() {
        assert_eq!(entry["join_rule"], entry["name"]);
    }
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#mspacechild-relationship>: a child without servers is none.
#[tokio::test]
async fn child_without_servers_is_none() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let space = json!({ "creation_content": { "type": "m.space" }, "preset": "public_chat" });
    let space = room(&alice, space).await;
    let child = room(&alice, json!({ "preset": "public_chat" })).await;
    let list = format!("/_matrix/client/v1/rooms/{space}/hierarchy");
    for (via, count) in [
        (json!(["letta.test"]), 2),
        (json!([]), 1),
        (json!("letta.test"), 1),
    ] {
        let state = path(&space, &format!("state/m.space.child/{child}"));
        alice.put(&state, json!({ "via": via })).await;
        let rooms = alice.get(&list).await["rooms"].as_array().unwrap().len();
        assert_eq!(rooms, count, "{via}");
    }
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>
#[tokio::test]
async fn sync_has_the_invitation_itself() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, json!({ "preset": "public_chat", "name": "Den" })).await;
    alice
        .post(
            &path(&id, "invite"),
            json!({ "user_id": bob.user_id, "reason": "tea" }),
        )
        .await;
    let sync = bob.get("/_matrix/client/v3/sync?timeout=0").await;
    let stripped = sync["rooms"]["invite"][&id]["invite_state"]["events"]
        .as_array()
        .unwrap();
    let own = stripped
        .iter()
        .find(|event| event["state_key"] == json!(bob.user_id))
        .unwrap();
    assert_eq!(
        (&own["content"]["reason"], &own["sender"]),
        (&json!("tea"), &json!(alice.user_id))
    );
    assert!(
        own["event_id"].is_string() && own["origin_server_ts"].is_u64(),
        "{own}"
    );
    bob.post(&path(&id, "join"), json!({})).await;
    let since = bob.get("/_matrix/client/v3/sync?timeout=0").await["next_batch"].clone();
    bob.post(&path(&id, "leave"), json!({})).await;
    let query = format!("since={}", since.as_str().unwrap());
    let left = bob
        .get(&format!("/_matrix/client/v3/sync?timeout=0&{query}"))
        .await;
    let left = &left["rooms"]["leave"][&id];
    assert!(left["timeline"]["events"].is_array(), "{left}");
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering> (`related_by_rel_types`)
#[tokio::test]
async fn filter_chooses_what_others_relate_to() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, json!({})).await;
    let send = async |txn: &str, content: Value| {
        let sent = alice
            .put(&path(&id, &format!("send/m.room.message/{txn}")), content)
            .await;
        sent["event_id"].as_str().unwrap().to_owned()
    };
    let root = send("1", json!({ "msgtype": "m.text", "body": "root" })).await;
    let thread = json!({ "rel_type": "m.thread", "event_id": root });
    send(
        "2",
        json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": thread }),
    )
    .await;
    let filter = "%7B%22related_by_rel_types%22%3A%5B%22m.thread%22%5D%7D";
    let page = alice
        .get(&path(&id, &format!("messages?dir=b&filter={filter}")))
        .await;
    let chunk = page["chunk"].as_array().unwrap();
    assert_eq!(
        chunk
            .iter()
            .map(|event| &event["event_id"])
            .collect::<Vec<_>>(),
        [&json!(root)]
    );
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>, and device ids that are empty.
#[tokio::test]
async fn bodies_without_their_key_and_empty_ids_are_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let profile = format!("/_matrix/client/v3/profile/{}/displayname", alice.user_id);
    let (status, answer) = alice.call(Method::PUT, &profile, json!({})).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_MISSING_PARAM"))
    );
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (status, _) = alice
            .call(method.clone(), "/_matrix/client/v3/devices/", json!({}))
            .await;
        assert!(status.is_client_error(), "{method}: {status}");
    }
}
