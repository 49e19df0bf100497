//! In which order a device hears that its event was sent, and of the event.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::{join, next, room, said, say, sync};
use crate::testing::{Person, TestServer};

/// Shorter than a sync waits for an answer, longer than anything else here takes.
const NOT_YET: Duration = Duration::from_millis(100);

async fn waiting(person: &Person, since: &serde_json::Value, timeout_ms: u64) -> serde_json::Value {
    let since = since["next_batch"].as_str().unwrap();
    let path =
        format!("/_matrix/client/v3/sync?set_presence=offline&since={since}&timeout={timeout_ms}");
    person.get(&path).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_comes_before_the_echo() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let phone = test.person("alice").await;
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let (of_alice, of_phone, of_bob) = (
        sync(&alice, "set_presence=offline").await,
        sync(&phone, "set_presence=offline").await,
        sync(&bob, "set_presence=offline").await,
    );

    let path = format!("/_matrix/client/v3/rooms/{id}/send/m.room.message/one");
    let body = json!({ "msgtype": "m.text", "body": "one" });
    let answer = alice.response(Method::PUT, &path, body).await;
    assert_eq!(answer.status(), StatusCode::OK);

    // The answer is on its way. Everybody else sees the message at once, even Alice on her phone.
    for (person, since) in [(&phone, &of_phone), (&bob, &of_bob)] {
        let seen = timeout(NOT_YET, waiting(person, since, 30_000)).await;
        assert_eq!(said(&seen.unwrap()["rooms"]["join"][&id]), ["one"]);
    }
    let echo = tokio::spawn({
        let alice = alice.clone();
        async move { waiting(&alice, &of_alice, 30_000).await }
    });
    let mut echo = Box::pin(echo);
    assert!(timeout(NOT_YET, &mut echo).await.is_err());

    // It arrives, and then the echo may come.
    drop(answer);
    let echo = timeout(NOT_YET, echo).await.unwrap().unwrap();
    let event = &echo["rooms"]["join"][&id]["timeline"]["events"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "one");
}

#[tokio::test]
async fn who_does_not_read_the_answer_still_gets_the_echo() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "public_chat").await;
    let first = sync(&alice, "").await;
    let path = format!("/_matrix/client/v3/rooms/{id}/send/m.room.message/one");
    let body = json!({ "msgtype": "m.text", "body": "one" });
    let unread = alice.response(Method::PUT, &path, body).await;
    let mut echo = waiting(&alice, &first, 0).await;
    assert_eq!(said(&echo["rooms"]["join"][&id]), ["one"]);
    drop(unread);
    say(&alice, &id, "two").await;
    let more = next(&alice, &mut echo, "").await;
    assert_eq!(said(&more["rooms"]["join"][&id]), ["two"]);
}
