//! What search finds: what messages say now, in any script, page by page.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-search>

use http::Method;
use serde_json::{Value, json};

use super::{room, rooms};
use crate::testing::{TestServer, TestUser};

async fn send(person: &TestUser, room: &str, content: Value) -> String {
    let id = crate::accounts::new_token();
    let path = rooms(room, &format!("send/m.room.message/{id}"));
    let sent = person.put(&path, content).await;
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn say(person: &TestUser, room: &str, body: &str) -> String {
    send(person, room, json!({ "msgtype": "m.text", "body": body })).await
}

async fn edit(person: &TestUser, room: &str, original: &str, body: &str) -> String {
    let content = json!({
        "msgtype": "m.text", "body": format!("* {body}"),
        "m.new_content": { "msgtype": "m.text", "body": body },
        "m.relates_to": { "rel_type": "m.replace", "event_id": original },
    });
    send(person, room, content).await
}

async fn page(person: &TestUser, term: &str, from: Option<&Value>) -> Value {
    let criteria = json!({ "search_term": term, "order_by": "recent", "filter": { "limit": 2 } });
    let body = json!({ "search_categories": { "room_events": criteria } });
    let from = from.map(|from| format!("?next_batch={}", from.as_str().unwrap()));
    let path = format!("/_matrix/client/v3/search{}", from.unwrap_or_default());
    let answer = person.post(&path, body).await;
    answer["search_categories"]["room_events"].clone()
}

fn ids(page: &Value) -> Vec<&str> {
    let results = page["results"].as_array().unwrap().iter();
    results
        .map(|one| one["result"]["event_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn edited_message_is_found_once_by_what_it_says_now() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, json!({})).await;
    let original = say(&alice, &id, "the old harbour").await;
    edit(&alice, &id, &original, "the first station").await;
    let last = edit(&alice, &id, &original, "the new station").await;
    assert_eq!(ids(&page(&alice, "station", None).await), [&original]);
    for gone in ["harbour", "first"] {
        assert!(ids(&page(&alice, gone, None).await).is_empty(), "{gone}");
    }
    alice
        .ok(
            Method::PUT,
            &rooms(&id, &format!("redact/{last}/1")),
            json!({}),
        )
        .await;
    assert_eq!(ids(&page(&alice, "first station", None).await), [&original]);
    alice
        .ok(
            Method::PUT,
            &rooms(&id, &format!("redact/{original}/2")),
            json!({}),
        )
        .await;
    for gone in ["harbour", "station"] {
        assert!(ids(&page(&alice, gone, None).await).is_empty(), "{gone}");
    }
}

#[tokio::test]
async fn pages_stay_where_they_are_while_messages_come_in() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, json!({})).await;
    let mut said = Vec::new();
    for number in 0..5 {
        said.push(say(&alice, &id, &format!("lighthouse {number}")).await);
    }
    said.reverse();
    let first = page(&alice, "lighthouse", None).await;
    assert_eq!(
        (ids(&first), &first["count"]),
        (vec![&*said[0], &*said[1]], &json!(5))
    );
    say(&alice, &id, "another lighthouse").await;
    let second = page(&alice, "lighthouse", Some(&first["next_batch"])).await;
    assert_eq!(ids(&second), [&*said[2], &*said[3]]);
    let third = page(&alice, "lighthouse", Some(&second["next_batch"])).await;
    assert_eq!(
        (ids(&third), third.get("next_batch")),
        (vec![&*said[4]], None)
    );
}

#[tokio::test]
async fn messages_are_found_in_any_script_and_by_the_beginning_of_words() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, json!({})).await;
    for (message, terms) in [
        (
            "明日は東京都に行きます",
            &["東京", "京都", "行きます", "明"][..],
        ),
        ("학교에서 만나요", &["학교", "만나요"]),
        ("สวัสดีครับทุกคน", &["ครับ", "สวัสดี"]),
        ("Grüße aus der Straße", &["GRÜSSE", "strasse", "gru\u{308}"]),
        ("ﬁne weather", &["fine wea"]),
    ] {
        let event = say(&alice, &id, message).await;
        for term in terms {
            assert_eq!(ids(&page(&alice, term, None).await), [&event], "{term}");
        }
    }
}
