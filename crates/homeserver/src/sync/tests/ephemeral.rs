//! Receipts, typing, account data, tags, filters.

use http::{Method, StatusCode};
use ruma::presence::PresenceState;
use serde_json::{Value, json};

use super::{join, next, refused, room, say, sync};
use crate::{
    store::tables,
    testing::{TestServer, TestUser},
};

async fn read(person: &TestUser, room: &str, kind: &str, event: &str, body: Value) {
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/{kind}/{event}");
    person.post(&path, body).await;
}

fn receipts(answer: &Value, room: &str) -> Value {
    let events = answer["rooms"]["join"][room]["ephemeral"]["events"].as_array();
    let mut events = events.into_iter().flatten();
    let found = events.find(|event| event["type"] == "m.receipt");
    found.map_or(Value::Null, |event| event["content"].clone())
}

#[tokio::test]
async fn receipts_say_who_read_and_private_ones_only_to_oneself() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let one = say(&alice, &id, "one").await;
    let two = say(&alice, &id, "two").await;
    let mut of_alice = sync(&alice, "").await;
    let mut of_bob = sync(&bob, "").await;
    let counts = &of_bob["rooms"]["join"][&id]["unread_notifications"];
    assert_eq!(counts["notification_count"], 2);

    read(&bob, &id, "m.read.private", &two, json!({})).await;
    assert!(next(&alice, &mut of_alice, "").await["rooms"].is_null());
    let answer = next(&bob, &mut of_bob, "").await;
    let own = receipts(&answer, &id);
    assert!(own[&two]["m.read.private"][bob.user_id.as_str()]["ts"].is_u64());
    let counts = &answer["rooms"]["join"][&id]["unread_notifications"];
    assert_eq!(counts["notification_count"], 0);

    let thread = json!({ "thread_id": "main" });
    read(&bob, &id, "m.read", &two, thread).await;
    // What was read before is not unread by a receipt that comes late.
    read(&bob, &id, "m.read", &one, json!({ "thread_id": "main" })).await;
    let seen = receipts(&next(&alice, &mut of_alice, "").await, &id);
    let receipt = &seen[&two]["m.read"][bob.user_id.as_str()];
    assert_eq!(receipt["thread_id"], "main");
    assert!(seen[&one].is_null());
    assert!(seen[&two]["m.read.private"].is_null());

    let markers = json!({ "m.fully_read": two });
    let path = format!("/_matrix/client/v3/rooms/{id}/read_markers");
    bob.post(&path, markers).await;
    let answer = next(&bob, &mut of_bob, "").await;
    let data = &answer["rooms"]["join"][&id]["account_data"]["events"][0];
    assert_eq!(data["type"], "m.fully_read");
    assert_eq!(data["content"]["event_id"], json!(two));
}

#[tokio::test]
async fn typing_is_seen_and_ends_by_itself() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let mut last = sync(&alice, "").await;
    let path = format!("/_matrix/client/v3/rooms/{id}/typing/{}", bob.user_id);
    bob.put(&path, json!({ "typing": true, "timeout": 300 }))
        .await;
    let typers = |answer: &Value| {
        answer["rooms"]["join"][&id]["ephemeral"]["events"][0]["content"]["user_ids"].clone()
    };
    let answer = next(&alice, &mut last, "").await;
    assert_eq!(typers(&answer), json!([bob.user_id]));
    // The timer wakes a sync that waits.
    let since = last["next_batch"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/sync?timeout=20000&since={since}");
    let answer = alice.get(&path).await;
    assert_eq!(typers(&answer), json!([]));
    let foreign = format!("/_matrix/client/v3/rooms/{id}/typing/{}", alice.user_id);
    let (status, _) = bob
        .call(Method::PUT, &foreign, json!({ "typing": false }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn leaving_a_room_ends_typing() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    let mut last = sync(&alice, "").await;
    let rooms = format!("/_matrix/client/v3/rooms/{id}");
    let typing = format!("{rooms}/typing/{}", bob.user_id);
    let kick = (
        &alice,
        format!("{rooms}/kick"),
        json!({ "user_id": bob.user_id }),
    );
    let leave = (&bob, format!("{rooms}/leave"), json!({}));
    for (who, path, body) in [leave, kick] {
        join(&bob, &id).await;
        bob.put(&typing, json!({ "typing": true, "timeout": 30_000 }))
            .await;
        for users in [json!([bob.user_id]), json!([])] {
            let answer = next(&alice, &mut last, "").await;
            let event = &answer["rooms"]["join"][&id]["ephemeral"]["events"][0];
            assert_eq!(event["content"]["user_ids"], users);
            // The second time round nothing is left to be done.
            who.call(Method::POST, &path, body.clone()).await;
        }
    }
}

#[tokio::test]
async fn account_data_and_tags_reach_the_other_devices() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let mut last = sync(&alice, "").await;
    let base = format!("/_matrix/client/v3/user/{}", alice.user_id);
    let global = format!("{base}/account_data/org.example.tea");
    assert_eq!(refused(&alice, &global).await, StatusCode::NOT_FOUND);
    alice.put(&global, json!({ "sugar": 1 })).await;
    alice.put(&global, json!({ "sugar": 2 })).await;
    assert_eq!(alice.get(&global).await, json!({ "sugar": 2 }));
    let tag = format!("{base}/rooms/{id}/tags/m.favourite");
    alice.put(&tag, json!({ "order": 0.5 })).await;
    let answer = next(&alice, &mut last, "").await;
    let events = answer["account_data"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["content"], json!({ "sugar": 2 }));
    let tags = &answer["rooms"]["join"][&id]["account_data"]["events"][0];
    assert_eq!(tags["content"]["tags"]["m.favourite"]["order"], 0.5);
    alice.ok(Method::DELETE, &tag, json!({})).await;
    let tags = alice.get(&format!("{base}/rooms/{id}/tags")).await;
    assert_eq!(tags, json!({ "tags": {} }));
}

#[tokio::test]
async fn a_filter_is_kept_and_used() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    say(&alice, &id, "one").await;
    let filters = format!("/_matrix/client/v3/user/{}/filter", alice.user_id);
    let filter = json!({ "room": { "timeline": { "types": ["m.room.mess*"] } }, "presence": { "types": [] } });
    let answer = alice.post(&filters, filter.clone()).await;
    let name = answer["filter_id"].as_str().unwrap();
    assert_eq!(alice.get(&format!("{filters}/{name}")).await, filter);
    let answer = sync(&alice, &format!("filter={name}")).await;
    assert!(answer["presence"].is_null());
    let timeline = &answer["rooms"]["join"][&id]["timeline"];
    assert_eq!(timeline["events"].as_array().unwrap().len(), 1);
    let filter =
        json!({ "event_fields": ["content.body"], "room": { "timeline": { "limit": 1 } } });
    let answer = alice.post(&filters, filter).await;
    let name = answer["filter_id"].as_str().unwrap();
    let answer = sync(&alice, &format!("filter={name}")).await;
    let joined = &answer["rooms"]["join"][&id];
    let event = &joined["timeline"]["events"][0];
    assert_eq!(event["content"], json!({ "body": "one" }));
    assert!(event["unsigned"].is_null() && event["event_id"].is_string());
    assert_eq!(joined["state"]["events"][0]["type"], "m.room.create");
    let unknown = "/_matrix/client/v3/sync?timeout=0&filter=nothing";
    assert_eq!(refused(&alice, unknown).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn presence_is_seen_by_those_who_share_a_room() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let mut of_bob = sync(&bob, "").await;
    let mut of_carol = sync(&carol, "").await;
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    let status = json!({ "presence": "unavailable", "status_msg": "tea" });
    alice.put(&path, status).await;
    let seen = next(&bob, &mut of_bob, "").await;
    let event = &seen["presence"]["events"][0];
    assert_eq!(event["sender"], json!(alice.user_id));
    assert_eq!(event["content"]["status_msg"], "tea");
    assert_eq!(bob.get(&path).await["presence"], "unavailable");
    assert!(next(&carol, &mut of_carol, "").await["presence"].is_null());
    assert_eq!(refused(&carol, &path).await, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_message_is_not_lost_beside_syncs() {
    const CHANGES: usize = 200;
    let test = TestServer::start().await;
    let (presence, user) = (
        test.server.sync.presence.clone(),
        test.person("alice").await.user_id,
    );
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let syncs = std::thread::spawn({
        let (presence, user, runtime) = (
            presence.clone(),
            user.clone(),
            tokio::runtime::Handle::current(),
        );
        move || {
            let _runtime = runtime.enter();
            while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                for state in [PresenceState::Online, PresenceState::Unavailable] {
                    presence.synced(&user, &state).unwrap();
                }
            }
        }
    });
    for number in 0..CHANGES {
        let message = Some(format!("message {number}"));
        let set = presence.set(&user, PresenceState::Online, message.clone(), false);
        set.await.unwrap();
        for _ in 0..20 {
            assert_eq!(presence.get(&user).unwrap().message, message);
            tokio::task::yield_now().await;
        }
    }
    drop(stop);
    syncs.join().unwrap();
}

#[tokio::test]
async fn status_message_on_disk_is_the_one_that_is_shown() {
    let test = TestServer::start().await;
    let (presence, user) = (
        &test.server.sync.presence,
        test.person("alice").await.user_id,
    );
    for round in 0..20 {
        let sets = (0..10).map(|number| {
            let message = Some(format!("message {round} {number}"));
            presence.set(&user, PresenceState::Online, message, false)
        });
        futures_util::future::join_all(sets).await;
        let stored = test.server.store.get::<tables::Presence>((&user,)).unwrap();
        let shown = presence.get(&user).unwrap().message;
        assert_eq!(stored.unwrap()["message"], json!(shown));
    }
}

#[tokio::test]
async fn deactivated_user_is_seen_offline_and_says_nothing() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    alice
        .put(&path, json!({ "presence": "online", "status_msg": "tea" }))
        .await;
    let mut of_bob = sync(&bob, "").await;
    let kept = crate::operations::deactivate::SentContent::Kept;
    test.server
        .operations
        .end_account(&alice.user_id, kept, None)
        .await
        .unwrap();
    let seen = next(&bob, &mut of_bob, "").await;
    let event = &seen["presence"]["events"][0];
    assert_eq!(event["content"]["presence"], "offline", "{seen}");
    let stored = test
        .server
        .store
        .contains::<tables::Presence>((&alice.user_id,));
    assert!(!stored.unwrap());
}
