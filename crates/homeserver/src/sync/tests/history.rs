//! What a sync leaves out, and how a client gets at it.

use serde_json::json;

use super::{invite, join, leave, next, room, said, say, set_state, state, sync};
use crate::testing::TestServer;

const TWO: &str = "filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A2%7D%7D%7D";
const WITH_LEFT: &str = "filter=%7B%22room%22%3A%7B%22include_leave%22%3Atrue%7D%7D";

#[tokio::test]
async fn a_page_before_a_limited_timeline_goes_on_where_it_begins() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let mut last = sync(&alice, TWO).await;
    let since = last["next_batch"].as_str().unwrap().to_owned();
    for text in ["one", "two", "three", "four", "five"] {
        say(&alice, &id, text).await;
    }
    let answer = next(&alice, &mut last, TWO).await;
    let gap = &answer["rooms"]["join"][&id];
    assert_eq!(said(gap), ["four", "five"]);
    let before = gap["timeline"]["prev_batch"].as_str().unwrap();
    let path =
        format!("/_matrix/client/v3/rooms/{id}/messages?dir=b&limit=50&from={before}&to={since}");
    let page = alice.get(&path).await;
    let texts: Vec<_> = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["content"]["body"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["three", "two", "one"]);
}

#[tokio::test]
async fn the_whole_state_is_told_to_those_who_ask_for_it() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let mut last = sync(&alice, "").await;
    set_state(&alice, &id, "m.room.topic", json!({ "topic": "tea" })).await;
    let answer = next(&alice, &mut last, "full_state=true").await;
    let whole = &answer["rooms"]["join"][&id];
    assert!(state(whole, "state").contains(&"m.room.create ".to_owned()));
    assert_eq!(whole["timeline"]["events"][0]["type"], "m.room.topic");
    let answer = next(&alice, &mut last, "full_state=true&use_state_after=true").await;
    let whole = &answer["rooms"]["join"][&id];
    assert!(state(whole, "state_after").contains(&"m.room.topic ".to_owned()));
}

#[tokio::test]
async fn a_token_from_the_future_begins_anew() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "private_chat").await;
    let answer = sync(&alice, "since=s99999999").await;
    let room = &answer["rooms"]["join"][&id];
    assert!(room["summary"]["m.joined_member_count"].is_u64());
    assert_eq!(answer["next_batch"], sync(&alice, "").await["next_batch"]);
}

#[tokio::test]
async fn who_never_was_in_a_room_learns_nothing_of_it_by_declining() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "private_chat").await;
    let visibility = json!({ "history_visibility": "joined" });
    set_state(&alice, &id, "m.room.history_visibility", visibility).await;
    say(&alice, &id, "among us").await;
    let mut last = sync(&bob, "").await;
    invite(&alice, &id, &bob).await;
    next(&bob, &mut last, "").await;
    leave(&bob, &id).await;
    let answer = next(&bob, &mut last, "").await;
    for left in [
        &answer["rooms"]["leave"][&id],
        &sync(&bob, WITH_LEFT).await["rooms"]["leave"][&id],
    ] {
        assert!(state(left, "state").is_empty());
        let events = left["timeline"]["events"].as_array().unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["content"]["membership"], "leave");
    }
}

#[tokio::test]
async fn left_rooms_are_told_to_those_who_ask_for_them() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    say(&alice, &id, "farewell").await;
    leave(&bob, &id).await;
    set_state(&alice, &id, "m.room.name", json!({ "name": "Gone" })).await;
    assert!(sync(&bob, "").await["rooms"]["leave"].is_null());
    let answer = sync(&bob, WITH_LEFT).await;
    let left = &answer["rooms"]["leave"][&id];
    assert!(said(left).contains(&"farewell"));
    assert!(!state(left, "state").contains(&"m.room.name ".to_owned()));
}
