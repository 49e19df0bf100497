//! In which order a device hears that its event was sent, and of the event.

use http::{Method, StatusCode};
use serde_json::json;

use super::{join, next, room, said, say, sync};
use crate::testing::{TestServer, TestUser};

async fn waiting(
    person: &TestUser,
    since: &serde_json::Value,
    timeout_ms: u64,
) -> serde_json::Value {
    let since = since["next_batch"].as_str().unwrap();
    let path =
        format!("/_matrix/client/v3/sync?set_presence=offline&since={since}&timeout={timeout_ms}");
    person.get(&path).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_comes_before_the_echo() {
    let test = TestServer::start().await;
    test.server.sync.pending_sends.wait_for_ever();
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
    let answer = alice.send_request(Method::PUT, &path, body).await;
    assert_eq!(answer.status(), StatusCode::OK);

    // The answer is on its way. Everybody else sees the message and waits for nothing, even Alice on her phone.
    for (person, since) in [(&phone, &of_phone), (&bob, &of_bob)] {
        let seen = waiting(person, since, 30_000).await;
        assert_eq!(said(&seen["rooms"]["join"][&id]), ["one"]);
    }
    let pending_sends = &test.server.sync.pending_sends;
    assert_eq!(pending_sends.waiting(), 0);
    let echo = tokio::spawn({
        let alice = alice.clone();
        async move { waiting(&alice, &of_alice, 30_000).await }
    });
    while pending_sends.waiting() == 0 {
        assert!(!echo.is_finished(), "the echo was faster than the answer");
        tokio::task::yield_now().await;
    }
    assert!(!echo.is_finished());

    // It arrives, and then the echo may come.
    drop(answer);
    let echo = echo.await.unwrap();
    let event = &echo["rooms"]["join"][&id]["timeline"]["events"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "one");
}

#[tokio::test]
async fn unread_send_response_delays_sync_for_a_bounded_time() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let id = room(&alice, "public_chat").await;
    let first = sync(&alice, "").await;
    let path = format!("/_matrix/client/v3/rooms/{id}/send/m.room.message/one");
    let body = json!({ "msgtype": "m.text", "body": "one" });
    let unread = alice.send_request(Method::PUT, &path, body).await;
    let mut echo = waiting(&alice, &first, 0).await;
    assert_eq!(said(&echo["rooms"]["join"][&id]), ["one"]);
    drop(unread);
    say(&alice, &id, "two").await;
    let more = next(&alice, &mut echo, "").await;
    assert_eq!(said(&more["rooms"]["join"][&id]), ["two"]);
}
