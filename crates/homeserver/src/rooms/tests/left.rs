//! What somebody reads who is not in the room (any more), through every endpoint that gives out events or state.

use super::*;

/// What stands in everything that happened while the reader was out.
const SECRET: &str = "SECRET";
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// Every way to read a room.
fn reads(room: &str, events: &[String]) -> Vec<String> {
    let mut paths: Vec<String> = [
        "state",
        "state/org.example.custom",
        "state/org.example.custom?format=event",
        "members",
        "members?not_membership=leave",
        "joined_members",
        "aliases",
        "messages?dir=b&limit=100",
        "messages?dir=f&limit=100",
        "messages?dir=b&limit=100&filter=%7B%22lazy_load_members%22%3Atrue%7D",
    ]
    .map(|rest| rooms(room, rest))
    .into();
    for event in events {
        for rest in ["event", "context"] {
            paths.push(rooms(room, &format!("{rest}/{event}?limit=100")));
        }
        paths.push(format!(
            "/_matrix/client/v1/rooms/{room}/relations/{event}?limit=100"
        ));
    }
    paths.push(format!("/_matrix/client/v1/rooms/{room}/threads"));
    paths.push(format!(
        "/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts=9999999999999&dir=b"
    ));
    paths.push("/_matrix/client/v3/sync".to_owned());
    paths.push(
        "/_matrix/client/v3/sync?filter=%7B%22room%22%3A%7B%22include_leave%22%3Atrue%7D%7D"
            .to_owned(),
    );
    for rest in ["hierarchy", "summary"] {
        paths.push(format!("/_matrix/client/v1/rooms/{room}/{rest}"));
        paths.push(format!(
            "/_matrix/client/unstable/im.nheko.summary/rooms/{room}/{rest}"
        ));
    }
    paths.push(format!("/_matrix/client/v1/room_summary/{room}"));
    paths
}

/// Every way to ask for a room with a body.
fn asks(room: &str) -> Vec<(String, Value)> {
    let search = |extra: Value| {
        let mut events = json!({ "search_term": SECRET, "include_state": true });
        events
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({ "search_categories": { "room_events": events } })
    };
    let context = json!({ "event_context": {
        "before_limit": 20, "after_limit": 20, "include_profile": true,
    } });
    let before = json!({ "search_term": "before", "event_context": context["event_context"] });
    let searches = [
        search(json!({})),
        search(context),
        search(before),
        search(json!({ "filter": { "rooms": [room] } })),
        search(json!({ "order_by": "recent" })),
    ];
    let everything = json!({ "timeline_limit": 100, "required_state": [["*", "*"]] });
    let mut listed = everything.clone();
    listed["ranges"] = json!([[0, 99]]);
    let on = json!({ "enabled": true });
    let sliding = json!({
        "lists": { "all": listed }, "room_subscriptions": { room: everything },
        "extensions": { "receipts": on, "typing": on, "account_data": on, "e2ee": on, "to_device": on },
    });
    let mut asks: Vec<_> = searches
        .map(|search| ("/_matrix/client/v3/search".to_owned(), search))
        .into();
    asks.push((format!("{SLIDING}?timeout=0"), sliding));
    asks
}

async fn say(person: &TestUser, room: &str, text: &str, txn: &str) -> String {
    let path = rooms(room, &format!("send/m.room.message/{txn}"));
    let sent = person
        .put(&path, json!({ "msgtype": "m.text", "body": text }))
        .await;
    sent["event_id"].as_str().unwrap().to_owned()
}

/// Somebody with a telling name comes into the room.
async fn comes_in(alice: &TestUser, carol: &TestUser, room: &str) {
    let name = format!("/_matrix/client/v3/profile/{}/displayname", carol.user_id);
    carol.put(&name, json!({ "displayname": SECRET })).await;
    alice
        .post(&rooms(room, "invite"), json!({ "user_id": carol.user_id }))
        .await;
    carol
        .post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await;
}

/// The reader is in the room again, and still does not know what was said meanwhile.
async fn come_back(alice: &TestUser, bob: &TestUser, room: &str, was: &str) {
    let him = json!({ "user_id": bob.user_id });
    if was == "ban" {
        alice.post(&rooms(room, "unban"), him.clone()).await;
    }
    if was != "invite" {
        alice.post(&rooms(room, "invite"), him).await;
    }
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await;
}

#[tokio::test]
async fn reader_who_left_sees_nothing_of_what_came_after() {
    let test = TestServer::start().await;
    for (number, (visibility, back)) in ["joined", "invited", "shared"]
        .into_iter()
        .flat_map(|visibility| ["nothing", "invite", "ban"].map(|back| (visibility, back)))
        .enumerate()
    {
        let alice = test.person(&format!("alice{number}")).await;
        let bob = test.person(&format!("bob{number}")).await;
        let visible = json!({ "history_visibility": visibility });
        let body = json!({
            "preset": "private_chat", "invite": [bob.user_id],
            "initial_state": [{ "type": "m.room.history_visibility", "content": visible }],
        });
        let room = room(&alice, body).await;
        let him = json!({ "user_id": bob.user_id });
        bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
            .await;
        let custom = rooms(&room, "state/org.example.custom");
        alice.put(&custom, json!({ "text": "before" })).await;
        let before = say(&alice, &room, "before", "1").await;
        let (sliding, body) = asks(&room).pop().unwrap();
        let pos = bob.post(&sliding, body).await["pos"].clone();
        bob.post(&rooms(&room, "leave"), json!({})).await;
        alice.put(&custom, json!({ "text": SECRET })).await;
        if back != "invite" {
            // Who is invited is told how the room is called.
            for kind in ["name", "topic"] {
                let path = rooms(&room, &format!("state/m.room.{kind}"));
                alice.put(&path, json!({ kind: SECRET })).await;
            }
        }
        let secret = say(&alice, &room, SECRET, "2").await;
        let carol = test.person(&format!("carol{number}")).await;
        comes_in(&alice, &carol, &room).await;
        if back != "nothing" {
            alice.post(&rooms(&room, back), him).await;
        }
        let after = say(&alice, &room, "after", "3").await;
        for path in reads(&room, &[before.clone(), secret, after]) {
            let (status, answer) = bob.call(Method::GET, &path, json!({})).await;
            assert!(!status.is_server_error(), "{path}: {answer}");
            let text = answer.to_string();
            assert!(!text.contains(SECRET), "{visibility} {back} {path}: {text}");
        }
        let (_, body) = asks(&room).pop().unwrap();
        let gone_on = format!("{sliding}&pos={}", pos.as_str().unwrap());
        // First: a round without a position begins the connection anew.
        let all = std::iter::once((gone_on, body)).chain(asks(&room));
        for (path, body) in all {
            let (status, answer) = bob.call(Method::POST, &path, body).await;
            assert_eq!(status, StatusCode::OK, "{path}: {answer}");
            let text = answer.to_string().replace(
                &format!("\"highlights\":[\"{}\"]", SECRET.to_lowercase()),
                "",
            );
            assert!(!text.contains(SECRET), "{visibility} {back} {path}: {text}");
        }
        let state = bob.get(&rooms(&room, "state")).await.to_string();
        assert!(state.contains("before"), "{visibility} {back}");
        let around = rooms(&room, &format!("context/{before}"));
        assert!(bob.get(&around).await.to_string().contains("before"));
        come_back(&alice, &bob, &room, back).await;
        for (path, body) in asks(&room) {
            let text = bob.post(&path, body).await.to_string();
            let said = text.contains(&format!("\"body\":\"{SECRET}\""));
            assert!(
                !said || visibility == "shared",
                "{visibility} {back} {path}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn erased_user_is_read_only_by_those_who_could_before() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let (carol, dora) = (test.person("carol").await, test.person("dora").await);
    let room = room(&alice, json!({ "preset": "public_chat", "name": "Tea" })).await;
    let join = format!("/_matrix/client/v3/join/{room}");
    bob.post(&join, json!({})).await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    bob.put(&name, json!({ "displayname": "Bobby" })).await;
    let data = format!(
        "/_matrix/client/v3/user/{}/account_data/org.example",
        bob.user_id
    );
    bob.put(&data, json!({ "mine": true })).await;
    let said = say(&bob, &room, "embarrassing", "1").await;
    let edit = json!({
        "msgtype": "m.text", "body": "* embarrassing too", "m.new_content": { "msgtype": "m.text", "body": "embarrassing too" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": said },
    });
    bob.put(&rooms(&room, "send/m.room.message/2"), edit).await;
    // Came in after the words, before their author was erased.
    carol.post(&join, json!({})).await;
    let erased = crate::operations::deactivate::SentContent::Erased;
    test.server
        .operations
        .deactivate(&bob.user_id, erased, None)
        .await
        .unwrap();
    dora.post(&join, json!({})).await;

    let search =
        json!({ "search_categories": { "room_events": { "search_term": "embarrassing" } } });
    let paths = [
        rooms(&room, "messages?dir=b&limit=100"),
        rooms(&room, &format!("event/{said}")),
        rooms(&room, &format!("context/{said}")),
        format!("/_matrix/client/v1/rooms/{room}/relations/{said}"),
        "/_matrix/client/v3/sync?filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A100%7D%7D%7D".to_owned(),
    ];
    for (reader, reads) in [(&alice, true), (&carol, true), (&dora, false)] {
        for path in &paths {
            let text = reader.get(path).await.to_string();
            assert_eq!(
                text.contains("embarrassing"),
                reads,
                "{} {path}: {text}",
                reader.user_id
            );
            assert!(reads || !text.contains("Bobby"), "{path}: {text}");
        }
        let found = reader
            .post("/_matrix/client/v3/search", search.clone())
            .await;
        let count = found["search_categories"]["room_events"]["count"]
            .as_u64()
            .unwrap();
        assert_eq!(count > 0, reads, "{found}");
    }
    let rows = test
        .server
        .store
        .scan::<crate::store::tables::AccountData>((&bob.user_id,));
    assert_eq!(rows.count(), 0);
    let token = dora.token.clone();
    drop((alice, bob, carol, dora));
    let test = test.restart().await;
    let dora = test.with_token("dora", &token);
    let text = dora.get(&paths[0]).await.to_string();
    assert!(!text.contains("embarrassing"), "{text}");
}
