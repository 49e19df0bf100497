//! What notifies whom, seen through the API.

mod addresses;
mod gateways;
mod hostile;

use http::{Method, StatusCode};
use ruma::{
    OwnedEventId, OwnedRoomId, RoomVersionId,
    events::{StateEventType, TimelineEventType, receipt::ReceiptThread},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    rooms::{Draft, Unread, mark_read, unread},
    stream::Position,
    testing::{TestServer, TestUser},
};

/// A room with everybody in it; the first made it.
async fn room(test: &TestServer, people: &[&TestUser]) -> OwnedRoomId {
    let creator = &people[0].user_id;
    let create = to_raw_value(&json!({ "room_version": "11" })).unwrap();
    let mut room = test
        .server
        .rooms
        .create(RoomVersionId::V11, creator.clone(), create)
        .await
        .unwrap();
    let state = |sender: &TestUser, kind: StateEventType, key: &str, content: Value| {
        Draft::state(sender.user_id.clone(), &kind, key, &content).unwrap()
    };
    let join = json!({ "membership": "join" });
    room.add(state(
        people[0],
        StateEventType::RoomMember,
        creator.as_str(),
        join.clone(),
    ))
    .unwrap();
    let public = json!({ "join_rule": "public" });
    room.add(state(people[0], StateEventType::RoomJoinRules, "", public))
        .unwrap();
    for person in &people[1..] {
        let key = person.user_id.as_str();
        room.add(state(person, StateEventType::RoomMember, key, join.clone()))
            .unwrap();
    }
    let id = room.room_id().to_owned();
    room.commit().await.unwrap();
    id
}

async fn send(
    test: &TestServer,
    room: &OwnedRoomId,
    who: &TestUser,
    content: Value,
) -> OwnedEventId {
    let mut writer = test.server.rooms.write(room).await.unwrap();
    let draft = Draft::message(
        who.user_id.clone(),
        TimelineEventType::RoomMessage,
        to_raw_value(&content).unwrap(),
    );
    let id = writer.add(draft).unwrap().event_id.clone();
    writer.commit().await.unwrap();
    id
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

fn in_thread(root: &OwnedEventId, body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body, "m.relates_to": { "rel_type": "m.thread", "event_id": root } })
}

fn mention(who: &TestUser) -> Value {
    json!({ "msgtype": "m.text", "body": "you!", "m.mentions": { "user_ids": [who.user_id] } })
}

fn counts(test: &TestServer, who: &TestUser, room: &OwnedRoomId) -> Unread {
    unread(&test.server.rooms, &who.user_id, room, Position::MAX).unwrap()
}

async fn read(test: &TestServer, who: &TestUser, room: &OwnedRoomId, thread: ReceiptThread) {
    let (store, up_to) = (&test.server.store, test.server.stream.visible());
    let mut batch = store.batch();
    mark_read(
        &mut batch,
        &test.server.rooms,
        &who.user_id,
        room,
        &thread,
        up_to,
    )
    .unwrap();
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn messages_count_mentions_highlight_and_reading_resets_both() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    send(&test, &room, &alice, text("one")).await;
    send(&test, &room, &alice, mention(&bob)).await;
    let unread = counts(&test, &bob, &room);
    assert_eq!((unread.notify, unread.highlight), (2, 1));
    assert_eq!(counts(&test, &alice, &room), Unread::default());
    read(&test, &bob, &room, ReceiptThread::Unthreaded).await;
    assert_eq!(counts(&test, &bob, &room), Unread::default());
    send(&test, &room, &alice, text("more")).await;
    send(
        &test,
        &room,
        &bob,
        text("an answer has read what is before it"),
    )
    .await;
    assert_eq!(counts(&test, &bob, &room), Unread::default());
    let listed = bob.get("/_matrix/client/v3/notifications?limit=1").await;
    assert_eq!(
        listed["notifications"][0]["event"]["content"]["body"],
        "more"
    );
    assert_eq!(listed["notifications"][0]["read"], true);
    let token = listed["next_token"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/notifications?only=highlight&from={token}");
    let listed = bob.get(&path).await;
    assert_eq!(listed["notifications"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn threads_are_counted_and_read_apart() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let root = send(&test, &room, &alice, text("root")).await;
    send(&test, &room, &alice, in_thread(&root, "reply")).await;
    send(&test, &room, &alice, in_thread(&root, "another")).await;
    let unread = counts(&test, &bob, &room);
    assert_eq!((unread.notify, unread.threads[&root]), (1, (2, 0)));
    assert_eq!(unread.total(), (3, 0));
    read(&test, &bob, &room, ReceiptThread::Main).await;
    assert_eq!(counts(&test, &bob, &room).total(), (2, 0));
    read(&test, &bob, &room, ReceiptThread::Thread(root)).await;
    assert_eq!(counts(&test, &bob, &room).total(), (0, 0));
}

#[tokio::test]
async fn rules_are_edited_and_decide_what_counts() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let rules = "/_matrix/client/v3/pushrules/global";
    let path = format!("{rules}/content/cheese");
    let rule = json!({ "pattern": "cheese", "actions": ["notify", { "set_tweak": "highlight" }] });
    bob.put(&path, rule).await;
    send(&test, &room, &alice, text("I like cheese")).await;
    assert_eq!(counts(&test, &bob, &room).highlight, 1);
    bob.put(&format!("{path}/enabled"), json!({ "enabled": false }))
        .await;
    send(&test, &room, &alice, text("more cheese")).await;
    assert_eq!(counts(&test, &bob, &room).highlight, 1);
    bob.put(
        &format!("{rules}/override/.m.rule.master/enabled"),
        json!({ "enabled": true }),
    )
    .await;
    send(&test, &room, &alice, text("nobody is told of this")).await;
    assert_eq!(counts(&test, &bob, &room).notify, 2);

    for all in [
        "/_matrix/client/v3/pushrules/",
        "/_matrix/client/v3/pushrules",
    ] {
        let all = bob.get(all).await;
        assert_eq!(all["global"]["content"][0]["rule_id"], "cheese");
        assert_eq!(all["global"]["override"][0]["enabled"], true);
    }
    let actions = json!({ "actions": [] });
    bob.put(&format!("{path}/actions"), actions.clone()).await;
    assert_eq!(bob.get(&format!("{path}/actions")).await, actions);
    let before = json!({ "pattern": "wine", "actions": [] });
    bob.put(
        &format!("{rules}/content/wine?after=cheese"),
        before.clone(),
    )
    .await;
    assert_eq!(
        bob.get(&format!("{rules}/")).await["content"][1]["rule_id"],
        "wine"
    );
    let (status, _) = bob
        .call(Method::PUT, &format!("{rules}/content/.mine"), before)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    bob.ok(Method::DELETE, &path, json!({})).await;
    let (status, answer) = bob.call(Method::GET, &path, json!({})).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND"))
    );
    // What happens to one user's rules is not what happens to another's.
    assert_eq!(
        alice.get("/_matrix/client/v3/pushrules/").await["global"]["override"][0]["enabled"],
        false
    );
}

#[tokio::test]
async fn an_invite_notifies_and_what_is_over_does_not() {
    let test = TestServer::start().await;
    let (alice, bob, carol) = (
        test.person("alice").await,
        test.person("bob").await,
        test.person("carol").await,
    );
    let room = room(&test, &[&alice, &carol]).await;
    let member = |who: &TestUser, membership: &str| {
        let content = json!({ "membership": membership });
        let kind = StateEventType::RoomMember;
        let user = who.user_id.as_str();
        Draft::state(alice.user_id.clone(), &kind, user, &content).unwrap()
    };
    let add = async |draft: Draft| {
        let mut writer = test.server.rooms.write(&room).await.unwrap();
        let id = writer.add(draft).unwrap().event_id.clone();
        writer.commit().await.unwrap();
        id
    };
    add(member(&bob, "invite")).await;
    assert_eq!(counts(&test, &bob, &room).notify, 1);
    send(&test, &room, &alice, text("not for the invited")).await;
    assert_eq!(counts(&test, &bob, &room).notify, 1);
    add(member(&bob, "leave")).await;
    assert_eq!(counts(&test, &bob, &room), Unread::default());

    let regretted = send(&test, &room, &alice, mention(&carol)).await;
    assert_eq!(counts(&test, &carol, &room).highlight, 1);
    let content = to_raw_value(&json!({ "redacts": regretted })).unwrap();
    let mut redaction = Draft::message(
        alice.user_id.clone(),
        TimelineEventType::RoomRedaction,
        content,
    );
    redaction.redacts = Some(regretted);
    add(redaction).await;
    assert_eq!(counts(&test, &carol, &room).highlight, 0);
}

#[tokio::test]
async fn users_of_application_services_and_those_who_ignore_the_sender_are_not_notified() {
    let test = TestServer::start().await;
    let (alice, bob, ghost) = (
        test.person("alice").await,
        test.person("bob").await,
        test.person("ghost").await,
    );
    let mut account = test.server.accounts.get(&ghost.user_id).unwrap().unwrap();
    account.appservice = Some("bridge".to_owned());
    let list = crate::sync::record::AccountDatum {
        position: Position(1),
        deleted: false,
        content: to_raw_value(&json!({ "ignored_users": { alice.user_id.as_str(): {} } })).unwrap(),
    };
    let mut batch = test.server.store.batch();
    test.server
        .accounts
        .put(&mut batch, &ghost.user_id, &account)
        .unwrap();
    let key = (&bob.user_id, "", "m.ignored_user_list");
    batch
        .put::<crate::store::tables::AccountData>(key, &list)
        .unwrap();
    test.server.store.commit(batch).await.unwrap();
    let room = room(&test, &[&alice, &bob, &ghost]).await;
    send(&test, &room, &alice, text("hello?")).await;
    send(&test, &room, &ghost, text("hello!")).await;
    assert_eq!(counts(&test, &bob, &room).notify, 1);
    assert_eq!(counts(&test, &ghost, &room), Unread::default());
    assert_eq!(counts(&test, &alice, &room).notify, 1);
}
