//! What others said of an event: edits, threads, reactions, references; and what a search finds.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    history::{say, send},
    refused, room, rooms,
};
use crate::testing::{TestServer, TestUser};

fn edit(of: &str, text: &str) -> Value {
    json!({
        "msgtype": "m.text", "body": format!("* {text}"),
        "m.new_content": { "msgtype": "m.text", "body": text },
        "m.relates_to": { "rel_type": "m.replace", "event_id": of },
    })
}

async fn event(person: &TestUser, room: &str, id: &str) -> Value {
    person.get(&rooms(room, &format!("event/{id}"))).await
}

/// The ids of the events in a list.
fn ids(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| event["event_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_newest_edit_comes_with_an_event_until_it_is_taken_back() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    let original = say(&alice, &room, "one").await;
    assert!(
        event(&bob, &room, &original).await["unsigned"]
            .get("m.relations")
            .is_none()
    );
    let first = send(&alice, &room, "m.room.message", edit(&original, "two")).await;
    let second = send(&alice, &room, "m.room.message", edit(&original, "three")).await;
    send(&bob, &room, "m.room.message", edit(&original, "forged")).await;

    let shown = event(&bob, &room, &original).await;
    assert_eq!(shown["content"]["body"], "one");
    assert!(shown["unsigned"].get("transaction_id").is_none());
    let replace = &shown["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(replace["event_id"], *second);
    assert_eq!(replace["content"]["m.new_content"]["body"], "three");
    assert_eq!(replace["room_id"], *room);

    alice
        .put(&rooms(&room, &format!("redact/{second}/r")), json!({}))
        .await;
    let shown = event(&bob, &room, &original).await;
    assert_eq!(
        shown["unsigned"]["m.relations"]["m.replace"]["event_id"],
        *first
    );
    let redacted = event(&bob, &room, &second).await;
    assert_eq!(redacted["content"], json!({}));
    let because = &redacted["unsigned"]["redacted_because"];
    assert_eq!(because["type"], "m.room.redaction");
    assert_eq!(because["redacts"], *second);
    assert_eq!(because["content"]["redacts"], *second);
}

#[tokio::test]
async fn a_thread_is_counted_listed_and_shrinks() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    for person in [&bob, &carol] {
        person.post(&rooms(&room, "join"), json!({})).await;
    }
    let (origin, other) = (
        say(&alice, &room, "origin").await,
        say(&bob, &room, "other").await,
    );
    let answer = |of: &str| json!({ "msgtype": "m.text", "body": "answer", "m.relates_to": { "rel_type": "m.thread", "event_id": of } });
    let one = send(&bob, &room, "m.room.message", answer(&origin)).await;
    let two = send(&bob, &room, "m.room.message", answer(&origin)).await;
    send(&alice, &room, "m.room.message", answer(&other)).await;

    let thread = event(&carol, &room, &origin).await["unsigned"]["m.relations"]["m.thread"].clone();
    assert_eq!(
        (&thread["count"], &thread["current_user_participated"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(thread["latest_event"]["event_id"], *two);
    let for_bob = event(&bob, &room, &origin).await;
    assert_eq!(
        for_bob["unsigned"]["m.relations"]["m.thread"]["current_user_participated"],
        true
    );

    let list = rooms(&room, "threads?limit=1").replacen("v3", "v1", 1);
    let page = carol.get(&list).await;
    assert_eq!(ids(&page["chunk"]), [&other]);
    let next = page["next_batch"].as_str().unwrap();
    let page = carol.get(&format!("{list}&from={next}")).await;
    assert_eq!(ids(&page["chunk"]), [&origin]);
    assert!(page.get("next_batch").is_none());
    let mine = rooms(&room, "threads?include=participated").replacen("v3", "v1", 1);
    assert_eq!(carol.get(&mine).await["chunk"], json!([]));
    assert_eq!(ids(&bob.get(&mine).await["chunk"]), [&other, &origin]);

    bob.put(&rooms(&room, &format!("redact/{two}/r")), json!({}))
        .await;
    let thread = event(&carol, &room, &origin).await["unsigned"]["m.relations"]["m.thread"].clone();
    assert_eq!(
        (&thread["count"], &thread["latest_event"]["event_id"]),
        (&json!(1), &json!(one))
    );
    bob.put(&rooms(&room, &format!("redact/{one}/s")), json!({}))
        .await;
    assert!(
        event(&carol, &room, &origin).await["unsigned"]
            .get("m.relations")
            .is_none()
    );
}

#[tokio::test]
async fn relations_are_listed_by_kind_and_over_several_steps() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let origin = say(&alice, &room, "origin").await;
    let relates = |kind: &str, of: &str, key: &str| json!({ "body": "x", "msgtype": "m.text", "m.relates_to": { "rel_type": kind, "event_id": of, "key": key } });
    let reaction = send(
        &alice,
        &room,
        "m.reaction",
        relates("m.annotation", &origin, "👍"),
    )
    .await;
    let reference = send(
        &alice,
        &room,
        "m.room.message",
        relates("m.reference", &origin, ""),
    )
    .await;
    let far = send(
        &alice,
        &room,
        "m.reaction",
        relates("m.annotation", &reference, "👀"),
    )
    .await;
    let list = async |rest: &str| {
        let path = rooms(&room, &format!("relations/{origin}{rest}")).replacen("v3", "v1", 1);
        alice.get(&path).await
    };
    assert_eq!(ids(&list("").await["chunk"]), [&reference, &reaction]);
    assert_eq!(ids(&list("?dir=f").await["chunk"]), [&reaction, &reference]);
    assert_eq!(ids(&list("/m.reference").await["chunk"]), [&reference]);
    assert_eq!(
        ids(&list("/m.annotation/m.reaction").await["chunk"]),
        [&reaction]
    );
    assert_eq!(
        list("/m.annotation/m.room.message").await["chunk"],
        json!([])
    );
    let deep = list("?recurse=true").await;
    assert_eq!(ids(&deep["chunk"]), [&far, &reference, &reaction]);
    assert_eq!(deep["recursion_depth"], 3);
    let first = list("?limit=1").await;
    assert_eq!(ids(&first["chunk"]), [&reference]);
    let next = first["next_batch"].as_str().unwrap();
    let second = list(&format!("?limit=1&from={next}")).await;
    assert_eq!(ids(&second["chunk"]), [&reaction]);
    assert!(second.get("next_batch").is_none());
    let shown = event(&alice, &room, &origin).await;
    let references = &shown["unsigned"]["m.relations"]["m.reference"]["chunk"];
    assert_eq!(ids(references), [&reference]);
}

#[allow(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn a_search_finds_words_where_the_searcher_is_and_nothing_that_is_gone() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let tea = room(&alice, json!({ "name": "Tea room" })).await;
    let milk = room(&alice, json!({})).await;
    let long = say(
        &alice,
        &tea,
        "Größe: a green tea, and then a lot of other words",
    )
    .await;
    let short = say(&alice, &tea, "Green TEA").await;
    let there = say(&alice, &milk, "green tea with milk").await;
    let search = async |person: &TestUser, criteria: Value| {
        let body = json!({ "search_categories": { "room_events": criteria } });
        let found = person.post("/_matrix/client/v3/search", body).await;
        found["search_categories"]["room_events"].clone()
    };
    let found_ids = |found: &Value| -> Vec<String> {
        let results = found["results"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter();
        results
            .map(|one| one["result"]["event_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let recent = search(
        &alice,
        json!({ "search_term": "green tea", "order_by": "recent" }),
    )
    .await;
    assert_eq!(
        found_ids(&recent),
        [there.clone(), short.clone(), long.clone()]
    );
    assert_eq!(recent["count"], 3);
    assert_eq!(
        recent["results"][1]["context"]["events_before"][0]["event_id"],
        *long
    );
    let ranked = search(
        &alice,
        json!({
            "search_term": "tea green", "filter": { "rooms": [tea] }, "include_state": true,
            "groupings": { "group_by": [{ "key": "room_id" }] },
        }),
    )
    .await;
    assert_eq!(found_ids(&ranked), [short.clone(), long.clone()]);
    assert_eq!(
        ranked["groups"]["room_id"][&tea]["results"],
        json!([short, long])
    );
    assert!(ranked["state"][&tea].as_array().unwrap().len() > 3);
    assert_eq!(
        found_ids(&search(&alice, json!({ "search_term": "größe" })).await),
        std::slice::from_ref(&long)
    );
    let names = search(
        &alice,
        json!({ "search_term": "tea", "keys": ["content.name"] }),
    )
    .await;
    assert_eq!(names["results"][0]["result"]["type"], "m.room.name");
    let nobody = search(&bob, json!({ "search_term": "green" })).await;
    assert_eq!(found_ids(&nobody), Vec::<String>::new());
    alice
        .put(&rooms(&tea, &format!("redact/{long}/r")), json!({}))
        .await;
    assert_eq!(
        found_ids(&search(&alice, json!({ "search_term": "größe" })).await),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn reports_are_kept_and_shared_rooms_told() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    let bad = say(&alice, &room, "bad").await;
    bob.post(
        &rooms(&room, &format!("report/{bad}")),
        json!({ "reason": "rude" }),
    )
    .await;
    let unknown = rooms(&room, "report/$unknown");
    refused(
        &bob,
        Method::POST,
        &unknown,
        json!({}),
        StatusCode::NOT_FOUND,
        "M_NOT_FOUND",
    )
    .await;
    let rows = test.server.store.scan::<crate::store::tables::Reports>(());
    let reports: Vec<_> = rows.map(|row| row.unwrap().1).collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (&reports[0]["event_id"], &reports[0]["by"]),
        (&json!(bad), &json!(bob.user_id))
    );
    let path = format!(
        "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id={}",
        bob.user_id
    );
    assert_eq!(alice.get(&path).await["joined"], json!([room]));
    let path = format!("/_matrix/client/v1/mutual_rooms?user_id={}", bob.user_id);
    let answer = alice.get(&path).await;
    assert_eq!(answer, json!({ "joined": [room], "count": 1 }));
}
