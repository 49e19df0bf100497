//! What people do in rooms, seen from outside: every request through the router.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

mod accepting;
mod creating;
mod history;
mod later;
mod left;
mod membership;
mod public;
mod related;
mod searching;
mod sending;
mod shown;

/// A new room of this person.
async fn room(person: &TestUser, body: Value) -> String {
    let answer = person.post("/_matrix/client/v3/createRoom", body).await;
    answer["room_id"].as_str().unwrap().to_owned()
}

fn rooms(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{rest}")
}

/// A request that has to be refused like this.
async fn refused(
    person: &TestUser,
    method: Method,
    path: &str,
    body: Value,
    status: StatusCode,
    code: &str,
) {
    let (answered, answer) = person.call(method.clone(), path, body).await;
    assert_eq!(answered, status, "{method} {path}: {answer}");
    assert_eq!(answer["errcode"], code, "{method} {path}: {answer}");
}

#[tokio::test]
async fn a_room_begins_with_what_its_preset_says_in_every_version() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    for version in ["10", "11", "12"] {
        let body = json!({
            "room_version": version, "preset": "trusted_private_chat", "invite": [bob.user_id], "is_direct": true,
            "name": "Tea", "topic": "Leaves", "creation_content": { "type": "m.space" },
            "initial_state": [{ "type": "m.room.guest_access", "content": { "guest_access": "forbidden" } }],
        });
        let room = room(&alice, body).await;
        let create = alice.get(&rooms(&room, "state/m.room.create")).await;
        let levels = alice.get(&rooms(&room, "state/m.room.power_levels/")).await;
        assert_eq!(create["room_version"], version);
        assert_eq!(create["type"], "m.space");
        assert_eq!(create.get("creator").is_some(), version == "10");
        if version == "12" {
            assert!(!room.contains(':'), "{room}");
            assert_eq!(create["additional_creators"], json!([bob.user_id]));
            assert_eq!(levels["users"], json!({}));
        } else {
            assert_eq!(levels["users"][bob.user_id.as_str()], 100);
        }
        let rule = alice.get(&rooms(&room, "state/m.room.join_rules")).await;
        assert_eq!(rule["join_rule"], "invite");
        let guests = alice.get(&rooms(&room, "state/m.room.guest_access")).await;
        assert_eq!(guests["guest_access"], "forbidden");
        let invite = format!("state/m.room.member/{}?format=event", bob.user_id);
        let invite = alice.get(&rooms(&room, &invite)).await;
        assert_eq!(invite["content"]["membership"], "invite");
        assert_eq!(invite["content"]["is_direct"], true);
        assert_eq!(invite["sender"], json!(alice.user_id));
    }
}

#[tokio::test]
async fn a_room_alias_names_one_room() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let tea = json!({ "room_alias_name": "tea", "preset": "public_chat" });
    let room = room(&alice, tea.clone()).await;
    let create = "/_matrix/client/v3/createRoom";
    let taken = StatusCode::BAD_REQUEST;
    refused(&bob, Method::POST, create, tea, taken, "M_ROOM_IN_USE").await;
    let alias = "/_matrix/client/v3/directory/room/%23tea:letta.test";
    assert_eq!(bob.get(alias).await["room_id"], *room);
    let joined = bob
        .post("/_matrix/client/v3/join/%23tea:letta.test", json!({}))
        .await;
    assert_eq!(joined["room_id"], *room);
    refused(
        &bob,
        Method::DELETE,
        alias,
        json!({}),
        StatusCode::FORBIDDEN,
        "M_FORBIDDEN",
    )
    .await;
    alice.ok(Method::DELETE, alias, json!({})).await;
    refused(
        &bob,
        Method::GET,
        alias,
        json!({}),
        StatusCode::NOT_FOUND,
        "M_NOT_FOUND",
    )
    .await;
    let canonical = alice
        .get(&rooms(&room, "state/m.room.canonical_alias"))
        .await;
    assert_eq!(canonical, json!({}));
    let bad = json!({ "alias": "#coffee:letta.test" });
    let path = rooms(&room, "state/m.room.canonical_alias");
    refused(&alice, Method::PUT, &path, bad, taken, "M_BAD_ALIAS").await;
}
