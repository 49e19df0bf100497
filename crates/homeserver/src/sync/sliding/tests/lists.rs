//! Lists: windows, order, filters, and the positions between answers.

use super::*;

#[tokio::test]
async fn the_first_rooms_come_first_and_a_larger_window_shows_only_what_it_adds() {
    let test = server().await;
    let alice = test.person("alice").await;
    let mut rooms = Vec::new();
    for name in ["one", "two", "three"] {
        rooms.push(room(&alice, json!({ "name": name })).await);
    }
    let mut client = Client::new(&alice, list(0, 1, json!([["m.room.name", ""]])));
    let first = client.next().await;
    assert_eq!(first["lists"]["all"]["count"], 3);
    assert_eq!(rooms_of(&first), [rooms[2].as_str()]);
    let shown = &first["rooms"][&rooms[2]];
    assert_eq!(shown["initial"], true);
    assert_eq!(shown["name"], "three");
    assert_eq!(shown["joined_count"], 1);
    assert_eq!(shown["limited"], true);
    assert_eq!(state(shown), [("m.room.name", "")]);
    assert_eq!(shown["timeline"].as_array().unwrap().len(), 1);

    client.body = list(9, 1, json!([["m.room.name", ""]]));
    let grown = client.next().await;
    let mut added = [rooms[0].as_str(), rooms[1].as_str()];
    added.sort_unstable();
    assert_eq!(rooms_of(&grown), added);
    assert_eq!(rooms_of(&client.next().await), <[&str; 0]>::default());
}

#[tokio::test]
async fn a_message_moves_its_room_up_and_is_sent_once() {
    let test = server().await;
    let alice = test.person("alice").await;
    let old = room(&alice, json!({ "name": "old" })).await;
    let new = room(&alice, json!({ "name": "new" })).await;
    let mut client = Client::new(&alice, list(0, 5, json!([])));
    assert_eq!(rooms_of(&client.next().await), [new.as_str()]);
    say(&alice, &old, "hello").await;
    let answer = client.next().await;
    assert_eq!(rooms_of(&answer), [old.as_str()], "it is the first now");
    assert_eq!(*bodies(&answer["rooms"][&old]).last().unwrap(), "hello");
    assert_eq!(answer["rooms"][&old]["num_live"], 1);
    let stamp = answer["rooms"][&old]["bump_stamp"].as_u64().unwrap();

    say(&alice, &old, "again").await;
    let answer = client.next().await;
    let shown = &answer["rooms"][&old];
    assert_eq!(bodies(shown), ["again"]);
    assert!(shown["initial"].is_null() && shown["limited"].is_null());
    assert!(shown["bump_stamp"].as_u64().unwrap() > stamp);
    let event = &shown["timeline"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "again", "{event}");

    let topic = path(&old, "state/m.room.topic");
    alice.put(&topic, json!({ "topic": "t" })).await;
    let answer = client.next().await;
    let bumped = &answer["rooms"][&old]["bump_stamp"];
    assert_eq!(*bumped, shown["bump_stamp"], "a topic is no news");
}

#[tokio::test]
async fn an_answer_that_got_lost_is_given_again_and_an_unknown_position_is_refused() {
    let test = server().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let mut client = Client::new(&alice, list(9, 5, json!([])));
    client.next().await;
    say(&alice, &room, "hello").await;
    let (_, lost) = client.at(client.pos.as_deref(), 0).await;
    assert_eq!(bodies(&lost["rooms"][&room]), ["hello"]);
    let again = client.next().await;
    let event = |answer: &Value| answer["rooms"][&room]["timeline"][0]["event_id"].clone();
    assert_eq!(event(&again), event(&lost));
    assert_eq!(again["rooms"][&room]["num_live"], 1);

    for unknown in ["1-1", "nonsense", lost["pos"].as_str().unwrap()] {
        let (status, refusal) = client.at(Some(unknown), 0).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(refusal["errcode"], "M_UNKNOWN_POS");
    }
    client.pos = None;
    assert_eq!(client.next().await["rooms"][&room]["initial"], true);
}

#[tokio::test]
async fn filters_choose_rooms() {
    let test = server().await;
    let alice = test.person("alice").await;
    let plain = room(&alice, json!({ "name": "Kitchen" })).await;
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    let initial = json!([{ "type": "m.room.encryption", "state_key": "", "content": encryption }]);
    let secret = room(&alice, json!({ "initial_state": initial })).await;
    let space = room(&alice, json!({ "creation_content": { "type": "m.space" } })).await;
    let child = path(&space, &format!("state/m.space.child/{plain}"));
    alice.put(&child, json!({ "via": ["letta.test"] })).await;
    let direct = format!(
        "/_matrix/client/v3/user/{}/account_data/m.direct",
        alice.user_id
    );
    alice
        .put(&direct, json!({ "@bob:letta.test": [secret] }))
        .await;
    for (filters, expected) in [
        (json!({ "is_encrypted": true }), &secret),
        (json!({ "is_dm": true }), &secret),
        (json!({ "room_types": ["m.space"] }), &space),
        (json!({ "spaces": [space] }), &plain),
        (json!({ "room_name_like": "kitch" }), &plain),
    ] {
        let mut body = list(9, 0, json!([]));
        body["lists"]["all"]["filters"] = filters.clone();
        let answer = Client::new(&alice, body).next().await;
        assert_eq!(rooms_of(&answer), [expected.as_str()], "{filters}");
        assert_eq!(answer["lists"]["all"]["count"], 1);
    }
}
