//! What is seen of rooms from outside, and what becomes of it when a room is upgraded.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{refused, room, rooms};
use crate::testing::{TestServer, TestUser};

async fn add_child(person: &TestUser, space: &str, child: &str, order: &str) {
    let path = rooms(space, &format!("state/m.space.child/{child}"));
    let body = json!({ "via": ["letta.test"], "order": order, "suggested": order == "a" });
    person.put(&path, body).await;
}

fn ids(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_array().unwrap();
    rooms
        .iter()
        .map(|room| room["room_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_space_shows_its_rooms_in_order_and_hides_what_is_private() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let space = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let outer = room(&alice, space.clone()).await;
    let inner = room(&alice, space).await;
    let public = json!({ "preset": "public_chat", "name": "Tea" });
    let (one, two) = (
        room(&alice, public.clone()).await,
        room(&alice, public).await,
    );
    let hidden = room(&alice, json!({})).await;
    add_child(&alice, &outer, &two, "z").await;
    add_child(&alice, &outer, &inner, "b").await;
    add_child(&alice, &outer, &hidden, "c").await;
    add_child(&alice, &inner, &one, "a").await;
    let path = format!("/_matrix/client/v1/rooms/{outer}/hierarchy");
    let all = bob.get(&path).await;
    assert_eq!(ids(&all), [&*outer, &*inner, &*one, &*two]);
    assert_eq!(
        all["rooms"][0]["children_state"].as_array().unwrap().len(),
        3
    );
    assert_eq!(all["rooms"][0]["room_type"], "m.space");
    assert_eq!(ids(&alice.get(&path).await).len(), 5);
    assert_eq!(ids(&bob.get(&format!("{path}?max_depth=1")).await).len(), 3);
    let page = bob.get(&format!("{path}?limit=3")).await;
    assert_eq!(ids(&page), [&*outer, &*inner, &*one]);
    let next = page["next_batch"].as_str().unwrap();
    let page = bob.get(&format!("{path}?limit=3&from={next}")).await;
    assert_eq!(ids(&page), [&*two]);
    assert!(page.get("next_batch").is_none());
    let suggested = format!("/_matrix/client/v1/rooms/{inner}/hierarchy?suggested_only=true");
    assert_eq!(ids(&bob.get(&suggested).await), [&*inner, &*one]);
    let secret = format!("/_matrix/client/v1/rooms/{hidden}/hierarchy");
    refused(
        &bob,
        Method::GET,
        &secret,
        json!({}),
        StatusCode::FORBIDDEN,
        "M_FORBIDDEN",
    )
    .await;
    let summary = format!("/_matrix/client/v1/room_summary/{one}");
    let summary = bob.get(&summary).await;
    assert_eq!(summary["name"], "Tea");
    assert_eq!(summary["membership"], "leave");
}

#[tokio::test]
async fn the_list_of_public_rooms_is_searched_and_paged() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut all = Vec::new();
    for name in ["Tea", "Coffee", "Green tea"] {
        all.push(room(&alice, json!({ "visibility": "public", "name": name })).await);
    }
    bob.post(&rooms(&all[1], "join"), json!({})).await;
    let path = "/_matrix/client/v3/publicRooms";
    let first = bob.get(&format!("{path}?limit=2")).await;
    assert_eq!(first["chunk"][0]["name"], "Coffee");
    assert_eq!(first["total_room_count_estimate"], 3);
    let since = first["next_batch"].as_str().unwrap();
    let second = bob.get(&format!("{path}?limit=2&since={since}")).await;
    assert_eq!(second["chunk"].as_array().unwrap().len(), 1);
    let tea = json!({ "filter": { "generic_search_term": "TEA" } });
    let found = bob.post(path, tea).await;
    assert_eq!(found["chunk"].as_array().unwrap().len(), 2);
    let list = format!("/_matrix/client/v3/directory/list/room/{}", all[0]);
    let private = json!({ "visibility": "private" });
    let forbidden = StatusCode::FORBIDDEN;
    refused(
        &bob,
        Method::PUT,
        &list,
        private.clone(),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
    alice.put(&list, private).await;
    assert_eq!(bob.get(&list).await["visibility"], "private");
    let (status, _) = test.call(Method::GET, path, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_upgraded_room_keeps_its_state_its_name_and_its_place() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mallory = test.person("mallory").await;
    let space = json!({ "creation_content": { "type": "m.space" } });
    let space = room(&alice, space).await;
    for (from, to) in [("10", "11"), ("11", "12"), ("12", "12")] {
        let name = format!("tea{from}{to}");
        let body = json!({
            "room_version": from, "visibility": "public", "room_alias_name": name, "name": "Tea",
        });
        let old = room(&alice, body).await;
        add_child(&alice, &space, &old, "a").await;
        bob.post(&rooms(&old, "join"), json!({})).await;
        let ban = json!({ "user_id": mallory.user_id });
        alice.post(&rooms(&old, "ban"), ban).await;
        let path = rooms(&old, "upgrade");
        let body = json!({ "new_version": to });
        let forbidden = StatusCode::FORBIDDEN;
        refused(
            &bob,
            Method::POST,
            &path,
            body.clone(),
            forbidden,
            "M_FORBIDDEN",
        )
        .await;
        let answer = alice.post(&path, body).await;
        let new = answer["replacement_room"].as_str().unwrap();
        let tombstone = bob.get(&rooms(&old, "state/m.room.tombstone")).await;
        assert_eq!(tombstone["replacement_room"], new);
        let create = alice.get(&rooms(new, "state/m.room.create")).await;
        assert_eq!(create["predecessor"]["room_id"], *old);
        assert_eq!(create["predecessor"].get("event_id").is_some(), to != "12");
        let topic = alice.get(&rooms(new, "state/m.room.name")).await;
        assert_eq!(topic["name"], "Tea");
        let banned = format!("state/m.room.member/{}", mallory.user_id);
        let banned = alice.get(&rooms(new, &banned)).await;
        assert_eq!(banned["membership"], "ban");
        let alias = format!("/_matrix/client/v3/directory/room/%23{name}:letta.test");
        assert_eq!(bob.get(&alias).await["room_id"], new);
        let say = rooms(&old, "send/m.room.message/late");
        let late = json!({ "msgtype": "m.text", "body": "late" });
        refused(&bob, Method::PUT, &say, late, forbidden, "M_FORBIDDEN").await;
        let child = alice
            .get(&rooms(&space, &format!("state/m.space.child/{new}")))
            .await;
        assert_eq!(child["order"], "a");
        let gone = alice
            .get(&rooms(&space, &format!("state/m.space.child/{old}")))
            .await;
        assert_eq!(gone, json!({}));
        bob.post(&rooms(new, "join"), json!({})).await;
    }
}

#[tokio::test]
async fn an_upgraded_room_is_to_its_members_what_the_old_one_was() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let stranger = test.person("carol").await;
    let old = room(
        &alice,
        json!({ "preset": "public_chat", "room_version": "11" }),
    )
    .await;
    let other = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&old, "join"), json!({})).await;
    let data =
        |user: &TestUser, path: &str| format!("/_matrix/client/v3/user/{}/{path}", user.user_id);
    let tag = |room: &str| format!("rooms/{room}/tags/m.favourite");
    bob.put(&data(&bob, &tag(&old)), json!({ "order": 0.5 }))
        .await;
    let direct = json!({ "@alice:letta.test": [old, other], "@x:y": [other], "odd": 1 });
    bob.put(&data(&bob, "account_data/m.direct"), direct).await;
    let rules = "/_matrix/client/v3/pushrules/global";
    let mute = json!({
        "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": old }], "actions": [],
    });
    bob.put(&format!("{rules}/override/{old}"), mute.clone())
        .await;
    bob.put(&format!("{rules}/override/quiet"), mute).await;
    let quiet = json!({ "enabled": false });
    bob.put(&format!("{rules}/override/quiet/enabled"), quiet)
        .await;
    alice
        .put(
            &format!("{rules}/room/{old}"),
            json!({ "actions": ["notify"] }),
        )
        .await;
    let before = stranger.get(&format!("{rules}/")).await;

    let answer = alice
        .post(&rooms(&old, "upgrade"), json!({ "new_version": "12" }))
        .await;
    let new = answer["replacement_room"].as_str().unwrap();
    bob.post(&rooms(new, "join"), json!({})).await;

    let tags = bob.get(&data(&bob, &format!("rooms/{new}/tags"))).await;
    assert_eq!(tags["tags"]["m.favourite"]["order"], 0.5);
    let direct = bob.get(&data(&bob, "account_data/m.direct")).await;
    let expected = json!({ "@alice:letta.test": [old, other, new], "@x:y": [other], "odd": 1 });
    assert_eq!(direct, expected);
    let muted = bob.get(&format!("{rules}/override/{new}")).await;
    assert_eq!(muted["conditions"][0]["pattern"], new);
    assert_eq!(
        (&muted["actions"], &muted["enabled"]),
        (&json!([]), &json!(true))
    );
    let quiet = bob.get(&format!("{rules}/override/quiet%20{new}")).await;
    assert_eq!(quiet["enabled"], false);
    let notifies = alice.get(&format!("{rules}/room/{new}")).await;
    assert_eq!(notifies["actions"], json!(["notify"]));
    assert_eq!(stranger.get(&format!("{rules}/")).await, before);
    let levels = alice.get(&rooms(new, "state/m.room.power_levels")).await;
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
}
