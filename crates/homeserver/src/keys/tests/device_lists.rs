//! Who learns that somebody's devices changed.

use ruma::{OwnedRoomId, RoomVersionId, UserId, events::StateEventType};
use serde_json::{json, value::to_raw_value};

use super::*;
use crate::{rooms::Draft, testing::TestServer};

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";

fn member(user: &UserId, membership: &str) -> Draft {
    let content = json!({ "membership": membership });
    Draft::state(
        user.to_owned(),
        &StateEventType::RoomMember,
        user.as_str(),
        &content,
    )
    .unwrap()
}

/// A public room that its creator is in.
async fn room(test: &TestServer, creator: &TestUser) -> OwnedRoomId {
    let (version, user) = (RoomVersionId::V11, &creator.user_id);
    let create = to_raw_value(&json!({ "room_version": version })).unwrap();
    let mut room = test
        .server
        .rooms
        .create(version, user.clone(), create)
        .await
        .unwrap();
    room.add(member(user, "join")).unwrap();
    let rules = json!({ "join_rule": "public" });
    let rules = Draft::state(user.clone(), &StateEventType::RoomJoinRules, "", &rules);
    room.add(rules.unwrap()).unwrap();
    let id = room.room_id().to_owned();
    room.commit().await.unwrap();
    id
}

async fn moves(test: &TestServer, room: &OwnedRoomId, who: &TestUser, membership: &str) {
    let mut room = test.server.rooms.write(room).await.unwrap();
    room.add(member(&who.user_id, membership)).unwrap();
    room.commit().await.unwrap();
}

async fn upload(person: &TestUser) {
    let keys = device_keys(person, &Key::of_device(&person.device_id));
    person.post(UPLOAD, json!({ "device_keys": keys })).await;
}

/// What changed for somebody since a position, and the position now.
async fn changes(test: &TestServer, person: &TestUser, from: &mut String) -> (Value, Value) {
    let to = format!("s{}", test.server.stream.visible());
    let path = format!("/_matrix/client/v3/keys/changes?from={from}&to={to}");
    let answer = person.get(&path).await;
    *from = to;
    (answer["changed"].clone(), answer["left"].clone())
}

#[tokio::test]
async fn those_who_share_a_room_learn_of_changes_and_of_who_is_new_and_gone() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let stranger = test.person("stranger").await;
    let room = room(&test, &alice).await;
    let mut since = format!("s{}", test.server.stream.visible());

    moves(&test, &room, &bob, "join").await;
    let mut since_bob = since.clone();
    let (changed, left) = changes(&test, &alice, &mut since).await;
    assert_eq!((changed, left), (json!([bob.user_id]), json!([])));
    let (changed, _) = changes(&test, &bob, &mut since_bob).await;
    assert_eq!(changed, json!([alice.user_id, bob.user_id]));

    let mut watcher = test.server.stream.watch(&alice.user_id);
    upload(&bob).await;
    assert!(watcher.wait(std::time::Duration::from_secs(5)).await);
    upload(&stranger).await;
    let (changed, left) = changes(&test, &alice, &mut since).await;
    assert_eq!((changed, left), (json!([bob.user_id]), json!([])));

    moves(&test, &room, &bob, "leave").await;
    let (changed, left) = changes(&test, &alice, &mut since).await;
    assert_eq!((changed, left), (json!([]), json!([bob.user_id])));
    let (_, left) = changes(&test, &bob, &mut since_bob).await;
    assert_eq!(left, json!([alice.user_id]));
    assert_eq!(
        changes(&test, &alice, &mut since).await,
        (json!([]), json!([]))
    );
}
