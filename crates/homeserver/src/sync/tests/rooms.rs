//! Rooms in a sync: the first one, the next ones, gaps, comings and goings.

use serde_json::json;

use super::{invite, join, leave, next, room, said, say, set_state, state, sync};
use crate::testing::TestServer;

const LAZY: &str = "filter=%7B%22room%22%3A%7B%22state%22%3A%7B%22lazy_load_members%22%3Atrue%7D%2C%22timeline%22%3A%7B%22limit%22%3A1%7D%7D%7D";
const ONE: &str = "filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A1%7D%7D%7D";

#[tokio::test]
async fn the_first_sync_tells_everything_and_the_next_what_is_new() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    say(&alice, &id, "one").await;
    let mut last = sync(&alice, "").await;
    let first = &last["rooms"]["join"][&id];
    assert_eq!(said(first), ["one"]);
    assert_eq!(first["summary"]["m.joined_member_count"], 1);
    let types = last["account_data"]["events"].as_array().unwrap();
    assert!(types.iter().any(|event| event["type"] == "m.push_rules"));
    // Each state event is told exactly once: beside the timeline or in it.
    let mut told = state(first, "state");
    told.extend(
        first["timeline"]["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["state_key"].is_string())
            .map(|event| {
                format!(
                    "{} {}",
                    event["type"].as_str().unwrap(),
                    event["state_key"].as_str().unwrap()
                )
            }),
    );
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count);
    assert!(told.contains(&"m.room.create ".to_owned()));

    let answer = next(&alice, &mut last, "").await;
    assert!(answer["rooms"].is_null(), "{answer}");
    say(&alice, &id, "two").await;
    let answer = next(&alice, &mut last, "").await;
    let room = &answer["rooms"]["join"][&id];
    assert_eq!(said(room), ["two"]);
    assert!(state(room, "state").is_empty());
    assert_ne!(room["timeline"]["limited"], true);
    let event = &room["timeline"]["events"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "two");
    assert!(event["room_id"].is_null());
}

#[tokio::test]
async fn a_gap_gives_the_state_that_the_timeline_does_not_show() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let mut last = sync(&alice, ONE).await;
    set_state(&alice, &id, "m.room.topic", json!({ "topic": "old" })).await;
    set_state(&alice, &id, "m.room.topic", json!({ "topic": "tea" })).await;
    say(&alice, &id, "one").await;
    set_state(&alice, &id, "m.room.name", json!({ "name": "Kitchen" })).await;
    let before = last["next_batch"].as_str().unwrap().to_owned();

    let answer = next(&alice, &mut last, ONE).await;
    let gap = &answer["rooms"]["join"][&id];
    assert_eq!(gap["timeline"]["limited"], true);
    assert_eq!(gap["timeline"]["events"].as_array().unwrap().len(), 1);
    assert_eq!(gap["timeline"]["events"][0]["type"], "m.room.name");
    assert_eq!(state(gap, "state"), ["m.room.topic "]);
    assert_eq!(gap["state"]["events"][0]["content"]["topic"], "tea");

    // The same, told as it is after the timeline.
    let query = format!("since={before}&use_state_after=true&{ONE}");
    let answer = sync(&alice, &query).await;
    let gap = &answer["rooms"]["join"][&id];
    assert!(gap["state"].is_null());
    assert_eq!(state(gap, "state_after"), ["m.room.name ", "m.room.topic "]);

    // Some clients know it by the name that it had first.
    let query = format!("since={before}&org.matrix.msc4222.use_state_after=true&{ONE}");
    let answer = sync(&alice, &query).await;
    let gap = &answer["rooms"]["join"][&id];
    assert_eq!(
        state(gap, "org.matrix.msc4222.state_after"),
        ["m.room.name ", "m.room.topic "]
    );
    assert!(gap["state_after"].is_null());
    assert_eq!(gap["timeline"]["limited"], true);
}

#[tokio::test]
async fn an_invite_becomes_a_room_that_is_told_as_a_whole() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "private_chat").await;
    set_state(&alice, &id, "m.room.name", json!({ "name": "Kitchen" })).await;
    let mut last = sync(&bob, "").await;
    invite(&alice, &id, &bob).await;
    let answer = next(&bob, &mut last, "").await;
    let events = answer["rooms"]["invite"][&id]["invite_state"]["events"]
        .as_array()
        .unwrap()
        .clone();
    for kind in ["m.room.create", "m.room.name", "m.room.join_rules"] {
        assert!(events.iter().any(|event| event["type"] == kind), "{kind}");
    }
    let own = events
        .iter()
        .find(|event| event["state_key"] == bob.user_id.as_str())
        .unwrap();
    assert_eq!(own["content"]["membership"], "invite");
    // It is still there for a device that comes new, and not told again to this one.
    assert!(sync(&bob, "").await["rooms"]["invite"][&id].is_object());
    assert!(next(&bob, &mut last, "").await["rooms"].is_null());

    join(&bob, &id).await;
    let answer = next(&bob, &mut last, "").await;
    assert!(answer["rooms"]["invite"].is_null());
    let whole = &answer["rooms"]["join"][&id];
    assert_eq!(whole["summary"]["m.joined_member_count"], 2);
    let timeline = whole["timeline"]["events"].as_array().unwrap();
    let creates = timeline
        .iter()
        .any(|event| event["type"] == "m.room.create");
    assert!(creates || state(whole, "state").contains(&"m.room.create ".to_owned()));
    let lists = &answer["device_lists"]["changed"];
    assert!(lists.as_array().unwrap().contains(&json!(alice.user_id)));
}

#[tokio::test]
async fn who_leaves_learns_what_happened_until_then_and_who_comes_back_the_rest() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let mut last = sync(&bob, "").await;
    say(&alice, &id, "before").await;
    let kick = json!({ "user_id": bob.user_id, "reason": "tea" });
    alice
        .post(&format!("/_matrix/client/v3/rooms/{id}/kick"), kick)
        .await;
    set_state(
        &alice,
        &id,
        "m.room.history_visibility",
        json!({ "history_visibility": "joined" }),
    )
    .await;
    say(&alice, &id, "behind their back").await;
    let answer = next(&bob, &mut last, "").await;
    assert!(answer["rooms"]["join"].is_null());
    let left = &answer["rooms"]["leave"][&id];
    assert_eq!(said(left), ["before"]);
    let end = left["timeline"]["events"].as_array().unwrap();
    assert_eq!(end.last().unwrap()["content"]["membership"], "leave");
    let lists = &answer["device_lists"]["left"];
    assert!(lists.as_array().unwrap().contains(&json!(alice.user_id)));
    assert!(next(&bob, &mut last, "").await["rooms"].is_null());
    assert!(sync(&bob, "").await["rooms"]["leave"].is_null());

    join(&bob, &id).await;
    say(&alice, &id, "again").await;
    let answer = next(&bob, &mut last, "").await;
    let back = &answer["rooms"]["join"][&id];
    let heard = said(back);
    assert_eq!(heard.last(), Some(&"again"));
    assert!(!heard.contains(&"behind their back"));
    leave(&bob, &id).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{id}/forget"), json!({}))
        .await;
    assert!(next(&bob, &mut last, "").await["rooms"]["join"].is_null());
}

#[tokio::test]
async fn lazy_loading_tells_who_speaks_once() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    join(&carol, &id).await;
    say(&bob, &id, "hello").await;
    let member = |person: &crate::testing::TestUser| format!("m.room.member {}", person.user_id);
    let mut last = sync(&alice, LAZY).await;
    let told = state(&last["rooms"]["join"][&id], "state");
    assert!(told.contains(&member(&alice)));
    assert!(told.contains(&member(&bob)));
    assert!(!told.contains(&member(&carol)));

    say(&bob, &id, "still me").await;
    let answer = next(&alice, &mut last, LAZY).await;
    assert!(state(&answer["rooms"]["join"][&id], "state").is_empty());
    say(&carol, &id, "and me").await;
    let since = last["next_batch"].as_str().unwrap().to_owned();
    let answer = next(&alice, &mut last, LAZY).await;
    let told = state(&answer["rooms"]["join"][&id], "state");
    assert_eq!(told, [member(&carol)]);
    // An answer that was lost is given again as it was.
    let again = sync(&alice, &format!("since={since}&{LAZY}")).await;
    assert_eq!(state(&again["rooms"]["join"][&id], "state"), told);
    say(&carol, &id, "me again").await;
    let answer = next(&alice, &mut last, LAZY).await;
    assert!(state(&answer["rooms"]["join"][&id], "state").is_empty());
}

#[tokio::test]
async fn events_of_ignored_users_are_left_out_of_sync() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        alice.user_id
    );
    let ignored = json!({ "ignored_users": { bob.user_id.as_str(): {} } });
    alice.put(&path, ignored).await;
    let mut last = sync(&alice, "").await;
    say(&bob, &id, "psst").await;
    say(&alice, &id, "quiet here").await;
    let answer = next(&alice, &mut last, "").await;
    assert_eq!(said(&answer["rooms"]["join"][&id]), ["quiet here"]);
}

#[tokio::test]
async fn a_restart_changes_nothing_for_those_who_ask_on() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let last = sync(&alice, "").await;
    say(&alice, &id, "before").await;
    let token = alice.token.clone();
    drop(alice);
    let test = test.restart().await;
    let alice = test.with_token("alice", &token);
    let mut last = last;
    let answer = next(&alice, &mut last, "").await;
    assert_eq!(said(&answer["rooms"]["join"][&id]), ["before"]);
    say(&alice, &id, "after").await;
    let answer = next(&alice, &mut last, "").await;
    assert_eq!(said(&answer["rooms"]["join"][&id]), ["after"]);
}
