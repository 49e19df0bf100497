//! What of a room's past somebody gets to read, page by page.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{refused, room, rooms};
use crate::testing::{TestServer, TestUser};

/// Says something, and gives the event id.
pub(super) async fn say(person: &TestUser, room: &str, text: &str) -> String {
    let body = json!({ "msgtype": "m.text", "body": text });
    send(person, room, "m.room.message", body).await
}

/// Sends an event, and gives its id.
pub(super) async fn send(person: &TestUser, room: &str, kind: &str, content: Value) -> String {
    let id: String =
        rand::distr::SampleString::sample_string(&rand::distr::Alphanumeric, &mut rand::rng(), 16);
    let sent = person
        .put(&rooms(room, &format!("send/{kind}/{id}")), content)
        .await;
    sent["event_id"].as_str().unwrap().to_owned()
}

/// The texts of the messages in a list of events.
fn texts(events: &Value) -> Vec<String> {
    let events = events.as_array().unwrap().iter();
    events
        .filter_map(|event| event["content"]["body"].as_str().map(ToOwned::to_owned))
        .collect()
}

async fn visibility(person: &TestUser, room: &str, visibility: &str) {
    let content = json!({ "history_visibility": visibility });
    let path = rooms(room, "state/m.room.history_visibility/");
    person.put(&path, content).await;
}

/// What somebody can read of a room, oldest first.
async fn readable(person: &TestUser, room: &str) -> Vec<String> {
    let page = person.get(&rooms(room, "messages?dir=f&limit=500")).await;
    texts(&page["chunk"])
}

#[tokio::test]
async fn history_is_read_by_those_whom_its_visibility_at_that_time_allows() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let eve = test.person("eve").await;
    for (setting, expected) in [
        ("world_readable", "before invited in out again"),
        ("shared", "before invited in out again"),
        ("invited", "invited in again"),
        ("joined", "in again"),
    ] {
        let room = room(&alice, json!({ "preset": "private_chat" })).await;
        visibility(&alice, &room, setting).await;
        let him = json!({ "user_id": bob.user_id });
        let first = say(&alice, &room, "before").await;
        alice.post(&rooms(&room, "invite"), him.clone()).await;
        say(&alice, &room, "invited").await;
        bob.post(&rooms(&room, "join"), json!({})).await;
        say(&alice, &room, "in").await;
        bob.post(&rooms(&room, "leave"), json!({})).await;
        say(&alice, &room, "out").await;
        if setting != "world_readable" {
            let left: Vec<_> = expected
                .split(' ')
                .filter(|text| !["out", "again"].contains(text))
                .collect();
            assert_eq!(readable(&bob, &room).await, left, "left, {setting}");
        }
        alice.post(&rooms(&room, "invite"), him).await;
        bob.post(&rooms(&room, "join"), json!({})).await;
        say(&alice, &room, "again").await;
        let all: Vec<_> = expected.split(' ').collect();
        assert_eq!(readable(&bob, &room).await, all, "back, {setting}");

        let path = rooms(&room, "messages?dir=b");
        let event = rooms(&room, &format!("event/{first}"));
        if setting == "world_readable" {
            assert_eq!(readable(&eve, &room).await, all);
            eve.get(&event).await;
        } else {
            let forbidden = StatusCode::FORBIDDEN;
            refused(
                &eve,
                Method::GET,
                &path,
                json!({}),
                forbidden,
                "M_FORBIDDEN",
            )
            .await;
            refused(
                &eve,
                Method::GET,
                &event,
                json!({}),
                StatusCode::NOT_FOUND,
                "M_NOT_FOUND",
            )
            .await;
        }
        let (status, _) = bob.call(Method::GET, &event, json!({})).await;
        let may = expected.contains("before");
        assert_eq!(status == StatusCode::OK, may, "{setting}");
    }
}

#[tokio::test]
async fn whoever_comes_later_reads_what_was_said_when_it_was_shared_and_not_what_was_not() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    visibility(&alice, &room, "joined").await;
    say(&alice, &room, "hidden").await;
    visibility(&alice, &room, "shared").await;
    say(&alice, &room, "open").await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    assert_eq!(readable(&bob, &room).await, ["open"]);
}

#[allow(clippy::too_many_lines, reason = "one story, told in order")]
/// Follows the pages from a token, or from where the server begins, to where they end: what they
/// show, and the tokens between them.
async fn walk(
    person: &TestUser,
    room: &str,
    query: &str,
    from: Option<&str>,
) -> (Vec<String>, Vec<String>) {
    let (mut shown, mut tokens) = (Vec::new(), Vec::new());
    let mut token = from.map(str::to_owned);
    loop {
        let from = token.iter().map(|token| format!("&from={token}"));
        let query = format!("messages?{query}{}", from.collect::<String>());
        let page = person.get(&rooms(room, &query)).await;
        if let Some(token) = &token {
            assert_eq!(page["start"], *token);
        }
        shown.extend(texts(&page["chunk"]));
        let Some(end) = page["end"].as_str() else {
            return (shown, tokens);
        };
        tokens.push(end.to_owned());
        token = Some(end.to_owned());
    }
}

#[tokio::test]
async fn pages_lead_there_and_back_without_a_gap() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let mut said = Vec::new();
    for number in 0..200 {
        let text = format!("message {number}");
        say(&alice, &room, &text).await;
        said.push(text);
    }
    let (mut back, pages) = walk(&alice, &room, "dir=b&limit=7", None).await;
    back.reverse();
    assert_eq!(back, said);

    let middle = &pages[10];
    let earlier = format!("messages?dir=b&limit=500&from={middle}");
    let mut forth = texts(&alice.get(&rooms(&room, &earlier)).await["chunk"]);
    forth.reverse();
    forth.extend(walk(&alice, &room, "dir=f&limit=13", Some(middle)).await.0);
    assert_eq!(forth, said);

    let (from, to) = (&pages[2], &pages[4]);
    let between = alice
        .get(&rooms(
            &room,
            &format!("messages?dir=b&limit=100&from={from}&to={to}"),
        ))
        .await;
    assert_eq!(between["chunk"].as_array().unwrap().len(), 14);
    let bad = rooms(&room, "messages?dir=b&from=nonsense");
    refused(
        &alice,
        Method::GET,
        &bad,
        json!({}),
        StatusCode::BAD_REQUEST,
        "M_INVALID_PARAM",
    )
    .await;
}

#[tokio::test]
async fn a_filter_chooses_events_and_brings_their_senders() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    let hers = say(&alice, &room, "hers").await;
    say(&bob, &room, "his").await;
    let image = json!({ "msgtype": "m.image", "body": "picture", "url": "mxc://letta.test/a" });
    send(&bob, &room, "m.room.message", image).await;
    let chosen = async |filter: Value| {
        let filter: String =
            form_urlencoded::byte_serialize(filter.to_string().as_bytes()).collect();
        alice
            .get(&rooms(
                &room,
                &format!("messages?dir=f&limit=99&filter={filter}"),
            ))
            .await
    };
    let his = chosen(
        json!({ "senders": [bob.user_id], "types": ["m.room.mes*"], "lazy_load_members": true }),
    )
    .await;
    assert_eq!(texts(&his["chunk"]), ["his", "picture"]);
    assert_eq!(his["state"].as_array().unwrap().len(), 1);
    assert_eq!(his["state"][0]["state_key"], json!(bob.user_id));
    let liked =
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": hers, "key": "x" } });
    send(&bob, &room, "m.reaction", liked).await;
    let related =
        json!({ "related_by_senders": [bob.user_id], "related_by_rel_types": ["m.annotation"] });
    assert_eq!(texts(&chosen(related).await["chunk"]), ["hers"]);
    let related = json!({ "related_by_senders": [alice.user_id] });
    assert_eq!(chosen(related).await["chunk"], json!([]));
    let with_url = chosen(json!({ "contains_url": true })).await;
    assert_eq!(texts(&with_url["chunk"]), ["picture"]);
    let without =
        chosen(json!({ "not_senders": [bob.user_id], "not_types": ["m.room.member"] })).await;
    assert_eq!(texts(&without["chunk"]), ["hers"]);
}

#[tokio::test]
async fn an_event_is_shown_with_what_was_around_it_and_found_by_its_time() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let mut ids = Vec::new();
    for number in 0..9 {
        ids.push(say(&alice, &room, &number.to_string()).await);
    }
    let around = alice
        .get(&rooms(&room, &format!("context/{}?limit=4", ids[4])))
        .await;
    assert_eq!(around["event"]["event_id"], *ids[4]);
    assert_eq!(around["event"]["room_id"], *room);
    assert_eq!(texts(&around["events_before"]), ["3", "2"]);
    assert_eq!(texts(&around["events_after"]), ["5", "6"]);
    let state = around["state"].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    for (direction, token, expected) in [("b", "start", ["1", "0"]), ("f", "end", ["7", "8"])] {
        let token = around[token].as_str().unwrap();
        let page = format!("messages?dir={direction}&limit=2&from={token}");
        assert_eq!(
            texts(&alice.get(&rooms(&room, &page)).await["chunk"]),
            expected
        );
    }
    let event = alice.get(&rooms(&room, &format!("event/{}", ids[4]))).await;
    assert!(event["unsigned"]["transaction_id"].is_string());
    assert!(event["unsigned"]["age"].as_i64().unwrap() >= 0);
    assert_eq!(event["unsigned"]["membership"], "join");
    let time = &event["origin_server_ts"];
    let path = rooms(&room, &format!("timestamp_to_event?dir=f&ts={time}")).replacen("v3", "v1", 1);
    assert_eq!(alice.get(&path).await["origin_server_ts"], *time);
    let late = rooms(&room, "timestamp_to_event?dir=f&ts=9999999999999").replacen("v3", "v1", 1);
    refused(
        &alice,
        Method::GET,
        &late,
        json!({}),
        StatusCode::NOT_FOUND,
        "M_NOT_FOUND",
    )
    .await;
}

#[tokio::test]
async fn what_ignored_people_say_is_not_shown() {
    use crate::{store::tables, stream::Position, sync::record::AccountDatum};
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    say(&bob, &room, "noise").await;
    say(&alice, &room, "signal").await;
    let ignored = json!({ "ignored_users": { bob.user_id.as_str(): {} } });
    let datum = AccountDatum {
        position: Position::default(),
        content: serde_json::value::to_raw_value(&ignored).unwrap(),
        deleted: false,
    };
    let key = (&*alice.user_id, "", "m.ignored_user_list");
    let store = &test.server.store;
    store.put::<tables::AccountData>(key, &datum).await.unwrap();
    assert_eq!(readable(&alice, &room).await, ["signal"]);
    assert_eq!(readable(&bob, &room).await, ["noise", "signal"]);
}

#[tokio::test]
async fn who_forgot_a_room_reads_it_no_more() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    bob.post(&rooms(&room, "join"), json!({})).await;
    say(&alice, &room, "hello").await;
    bob.post(&rooms(&room, "leave"), json!({})).await;
    assert_eq!(readable(&bob, &room).await, ["hello"]);
    bob.post(&rooms(&room, "forget"), json!({})).await;
    let path = rooms(&room, "messages?dir=b");
    let forbidden = StatusCode::FORBIDDEN;
    refused(
        &bob,
        Method::GET,
        &path,
        json!({}),
        forbidden,
        "M_FORBIDDEN",
    )
    .await;
}
