//! What rooms see of an account that comes, is renamed and goes.

use http::{Method, StatusCode};
use ruma::{OwnedRoomId, RoomVersionId, events::StateEventType, room_alias_id};
use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::{
    clock,
    rooms::{Draft, record::AliasRecord},
    store::tables,
    testing::TestUser,
};

/// A room that everybody may join, with its maker in it.
async fn public_room(test: &TestServer, maker: &TestUser) -> OwnedRoomId {
    let create = to_raw_value(&json!({ "room_version": "11" })).unwrap();
    let rooms = &test.server.rooms;
    let maker = &maker.user_id;
    let version = RoomVersionId::V11;
    let mut room = rooms.create(version, maker.clone(), create).await.unwrap();
    let state = [
        (
            StateEventType::RoomMember,
            maker.as_str(),
            json!({ "membership": "join" }),
        ),
        (
            StateEventType::RoomJoinRules,
            "",
            json!({ "join_rule": "public" }),
        ),
    ];
    for (kind, key, content) in state {
        room.add(Draft::state(maker.clone(), &kind, key, &content).unwrap())
            .unwrap();
    }
    let id = room.room_id().to_owned();
    room.commit().await.unwrap();
    id
}

fn member(test: &TestServer, room: &OwnedRoomId, user: &str) -> Value {
    let state = test.server.rooms.state(room);
    let kind = StateEventType::RoomMember;
    state.content(&kind, user).unwrap().unwrap_or_default()
}

#[tokio::test]
async fn somebody_new_begins_in_the_lounge_and_leaves_it_for_ever() {
    let test = TestServer::start_with(|config| {
        config.registration.allow_registration = true;
        config.registration.registration_token = Some(crate::config::Secret::new(TOKEN));
        let lounge = serde_json::from_value(json!(["#lounge:letta.test"]));
        config.registration.auto_join_rooms = lounge.unwrap();
    })
    .await;
    let carol = test.person("carol").await;
    let lounge = public_room(&test, &carol).await;
    let record = AliasRecord {
        room_id: lounge.clone(),
        creator: carol.user_id.clone(),
        created: clock::now(),
    };
    let alias = room_alias_id!("#lounge:letta.test");
    let store = &test.server.store;
    store
        .put::<tables::Aliases>((alias,), &record)
        .await
        .unwrap();
    let alice = registered(&test, "alice").await;
    let token = alice["access_token"].as_str().unwrap();
    let joined = member(&test, &lounge, "@alice:letta.test");
    assert_eq!(
        joined,
        json!({ "membership": "join", "displayname": "alice" })
    );

    let name = "/_matrix/client/v3/profile/@alice:letta.test/displayname";
    let (status, _) = with(
        &test,
        token,
        Method::PUT,
        name,
        json!({ "displayname": "A" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let renamed = member(&test, &lounge, "@alice:letta.test");
    assert_eq!(renamed, json!({ "membership": "join", "displayname": "A" }));

    let search = "/_matrix/client/v3/user_directory/search";
    let (_, found) = with(
        &test,
        token,
        Method::POST,
        search,
        json!({ "search_term": "CAR" }),
    )
    .await;
    assert_eq!(found["results"][0]["user_id"], "@carol:letta.test");

    let gone = "/_matrix/client/v3/account/deactivate";
    let auth = json!({ "auth": {
        "type": "m.login.password", "password": "secret",
        "identifier": { "type": "m.id.user", "user": "alice" },
    }});
    assert_eq!(
        with(&test, token, Method::POST, gone, auth).await.0,
        StatusCode::OK
    );
    assert_eq!(
        member(&test, &lounge, "@alice:letta.test")["membership"],
        "leave"
    );
}
