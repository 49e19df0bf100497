//! Coming and going.

use http::{Method, StatusCode};
use serde_json::json;

use super::{refused, room, rooms};
use crate::testing::TestServer;

#[allow(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn somebody_is_invited_comes_is_kicked_banned_and_let_back_in() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({})).await;
    let forbidden = StatusCode::FORBIDDEN;
    let join = format!("/_matrix/client/v3/join/{room}");
    refused(
        &bob,
        Method::POST,
        &join,
        json!({}),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
    let him = json!({ "user_id": bob.user_id, "reason": "tea" });
    alice.post(&rooms(&room, "invite"), him.clone()).await;
    bob.post(&join, json!({})).await;
    bob.post(&join, json!({})).await;
    let members = bob.get(&rooms(&room, "members?membership=join")).await;
    assert_eq!(members["chunk"].as_array().unwrap().len(), 2);
    let kick = rooms(&room, "kick");
    let her = json!({ "user_id": alice.user_id });
    refused(&bob, Method::POST, &kick, her, forbidden, "M_FORBIDDEN").await;
    alice.post(&kick, him.clone()).await;
    refused(
        &alice,
        Method::POST,
        &kick,
        him.clone(),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
    let gone = bob
        .get(&rooms(
            &room,
            &format!("state/m.room.member/{}", bob.user_id),
        ))
        .await;
    assert_eq!(gone["reason"], "tea");
    let unban = rooms(&room, "unban");
    refused(
        &alice,
        Method::POST,
        &unban,
        him.clone(),
        forbidden,
        "M_BAD_STATE",
    )
    .await;
    alice.post(&rooms(&room, "ban"), him.clone()).await;
    refused(
        &alice,
        Method::POST,
        &rooms(&room, "invite"),
        him.clone(),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
    alice.post(&unban, him.clone()).await;
    alice.post(&rooms(&room, "invite"), him).await;
    let forget = rooms(&room, "forget");
    refused(
        &bob,
        Method::POST,
        &forget,
        json!({}),
        StatusCode::BAD_REQUEST,
        "M_UNKNOWN",
    )
    .await;
    bob.post(&rooms(&room, "leave"), json!({})).await;
    bob.post(&forget, json!({})).await;
    let rooms = bob.get("/_matrix/client/v3/joined_rooms").await;
    assert_eq!(rooms["joined_rooms"], json!([]));
}

#[tokio::test]
async fn people_of_a_space_come_into_its_restricted_rooms_and_others_knock() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let space = room(&alice, json!({ "preset": "public_chat" })).await;
    let rules = json!({
        "join_rule": "knock_restricted",
        "allow": [{ "type": "m.room_membership", "room_id": space }],
    });
    let inner = room(
        &alice,
        json!({
            "initial_state": [{ "type": "m.room.join_rules", "content": rules }],
        }),
    )
    .await;
    let join = rooms(&inner, "join");
    let forbidden = StatusCode::FORBIDDEN;
    refused(
        &bob,
        Method::POST,
        &join,
        json!({}),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
    bob.post(&rooms(&space, "join"), json!({})).await;
    bob.post(&join, json!({})).await;
    let member = format!("state/m.room.member/{}", bob.user_id);
    let member = bob.get(&rooms(&inner, &member)).await;
    assert_eq!(
        member["join_authorised_via_users_server"],
        json!(alice.user_id)
    );
    let knock = format!("/_matrix/client/v3/knock/{inner}");
    carol.post(&knock, json!({ "reason": "please" })).await;
    let member = format!("state/m.room.member/{}", carol.user_id);
    let member = alice.get(&rooms(&inner, &member)).await;
    assert_eq!(member["membership"], "knock");
    assert_eq!(member["reason"], "please");
}

#[tokio::test]
async fn rooms_per_user_are_limited() {
    use crate::{limits::ROOMS_PER_USER, store::tables};
    use ruma::{OwnedRoomId, events::room::member::MembershipState};

    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let bob = test.person("bob").await;
    let known: OwnedRoomId = room(&bob, json!({ "preset": "public_chat" }))
        .await
        .try_into()
        .unwrap();
    let (store, user) = (&test.server.store, &alice.user_id);
    let row = store
        .get::<tables::Memberships>((&bob.user_id, &known))
        .unwrap()
        .unwrap();
    let mut batch = store.batch();
    let other = |number: usize| OwnedRoomId::try_from(format!("!{number}:letta.test")).unwrap();
    for number in 1..ROOMS_PER_USER {
        batch
            .put::<tables::Memberships>((user, &other(number)), &row)
            .unwrap();
    }
    store.commit(batch).await.unwrap();
    alice
        .post(&format!("/_matrix/client/v3/join/{known}"), json!({}))
        .await;
    let create = "/_matrix/client/v3/createRoom";
    refused(
        &alice,
        Method::POST,
        create,
        json!({}),
        StatusCode::PAYLOAD_TOO_LARGE,
        "M_TOO_LARGE",
    )
    .await;
    // Whoever is in a room already may join it again.
    alice
        .post(&format!("/_matrix/client/v3/join/{known}"), json!({}))
        .await;
    let mut left = row;
    left.membership = MembershipState::Leave;
    let mut batch = store.batch();
    batch
        .put::<tables::Memberships>((user, &other(1)), &left)
        .unwrap();
    store.commit(batch).await.unwrap();
    alice.post(create, json!({})).await;
}
