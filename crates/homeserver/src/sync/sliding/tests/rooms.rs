//! What is told of a room: its state, its members, and how one comes and goes.

use super::*;

#[tokio::test]
async fn room_is_sent_as_invited_then_joined_then_left() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut client = Client::new(&bob, list(9, 5, json!([["m.room.member", "$ME"]])));
    client.next().await;
    let room = room(&alice, json!({ "name": "Tea", "invite": [bob.user_id] })).await;
    say(&alice, &room, "secret").await;
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    let door = shown["invite_state"].as_array().unwrap();
    let own = json!(bob.user_id);
    assert!(
        door.iter()
            .any(|event| event["state_key"] == own && event["content"]["membership"] == "invite")
    );
    assert!(door.iter().any(|event| event["type"] == "m.room.name"));
    assert!(shown["timeline"].is_null() && shown["required_state"].is_null());
    assert_eq!(rooms_of(&client.next().await), <[&str; 0]>::default());

    join(&bob, &room).await;
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    assert_eq!(shown["initial"], true);
    assert!(shown["invite_state"].is_null());
    assert_eq!(shown["required_state"][0]["content"]["membership"], "join");
    assert_eq!(shown["joined_count"], 2);

    bob.post(&path(&room, "leave"), json!({})).await;
    say(&alice, &room, "gone").await;
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    assert_eq!(shown["required_state"][0]["content"]["membership"], "leave");
    assert!(bodies(shown).is_empty());
    client.next().await;
    say(&alice, &room, "still-gone").await;
    let answer = client.next().await;
    assert!(answer["rooms"].is_null(), "{answer}");
    assert_eq!(answer["lists"]["all"]["count"], 0);

    alice
        .post(&path(&room, "invite"), json!({ "user_id": bob.user_id }))
        .await;
    let answer = client.next().await;
    assert!(
        answer["rooms"][&room]["invite_state"].is_array(),
        "{answer}"
    );
    bob.post(&path(&room, "leave"), json!({})).await;
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    assert_eq!(shown["required_state"][0]["content"]["membership"], "leave");
}

#[tokio::test]
async fn members_come_when_they_are_needed_and_once() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    let mut others = Vec::new();
    for name in ["bob", "carol"] {
        let person = test.person(name).await;
        join(&person, &room).await;
        others.push(person);
    }
    say(&others[0], &room, "one").await;
    let lazy = json!([
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
        ["m.room.create", "*"]
    ]);
    let mut client = Client::new(&alice, list(9, 1, lazy));
    let answer = client.next().await;
    let member = |person: &TestUser| ("m.room.member".to_owned(), person.user_id.to_string());
    let owned = |room: &Value| -> Vec<(String, String)> {
        let state = state(room).into_iter();
        state
            .map(|(kind, key)| (kind.to_owned(), key.to_owned()))
            .collect()
    };
    let create = ("m.room.create".to_owned(), String::new());
    assert_eq!(
        owned(&answer["rooms"][&room]),
        [create, member(&alice), member(&others[0])]
    );
    say(&others[0], &room, "two").await;
    assert_eq!(owned(&client.next().await["rooms"][&room]), []);
    say(&others[1], &room, "three").await;
    assert_eq!(
        owned(&client.next().await["rooms"][&room]),
        [member(&others[1])]
    );
    others[0].post(&path(&room, "leave"), json!({})).await;
    let answer = client.next().await;
    assert_eq!(owned(&answer["rooms"][&room]), [member(&others[0])]);
    assert_eq!(answer["rooms"][&room]["joined_count"], 2);
}

#[tokio::test]
async fn who_opens_a_room_gets_more_of_it_and_only_the_state_that_is_new() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({ "name": "Tea", "topic": "Leaves" })).await;
    for text in ["one", "two", "three"] {
        say(&alice, &room, text).await;
    }
    let mut client = Client::new(&alice, list(9, 1, json!([["m.room.name", ""]])));
    assert_eq!(bodies(&client.next().await["rooms"][&room]), ["three"]);
    let subscription = json!({ "timeline_limit": 3, "required_state": [["m.room.topic", ""]] });
    client.body["room_subscriptions"] = json!({ room.as_str(): subscription });
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    assert_eq!(bodies(shown), ["one", "two", "three"]);
    assert_eq!(shown["limited"], true);
    assert_eq!(state(shown), [("m.room.topic", "")]);
    let before = shown["prev_batch"].as_str().unwrap();
    let earlier = path(&room, &format!("messages?dir=b&limit=1&from={before}"));
    let (status, page) = alice.call(Method::GET, &earlier, json!({})).await;
    if status == StatusCode::OK {
        assert_eq!(page["chunk"][0]["type"], "m.room.topic", "{page}");
    }
    assert!(client.next().await["rooms"].is_null());

    alice
        .put(
            &path(&room, "state/m.room.name"),
            json!({ "name": "Coffee" }),
        )
        .await;
    let answer = client.next().await;
    assert_eq!(state(&answer["rooms"][&room]), [("m.room.name", "")]);
    assert_eq!(answer["rooms"][&room]["name"], "Coffee");
}

#[tokio::test]
async fn a_gap_is_said_and_leads_to_what_was_left_out() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let mut client = Client::new(&alice, list(9, 2, json!([])));
    client.next().await;
    for text in ["one", "two", "three"] {
        say(&alice, &room, text).await;
    }
    let answer = client.next().await;
    let shown = &answer["rooms"][&room];
    assert_eq!(bodies(shown), ["two", "three"]);
    assert_eq!(shown["limited"], true);
    assert_eq!(shown["num_live"], 2);
}
