//! Waiting: no longer than asked, no answer without news, no news without an answer.

use std::time::{Duration, Instant};

use super::*;

/// Far more than any answer takes, in milliseconds.
const LONG: u64 = 20_000;

#[tokio::test]
async fn idle_sliding_sync_times_out_empty() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    room(&alice, json!({})).await;
    let elsewhere = room(&bob, json!({})).await;
    let mut client = Client::new(&alice, list(9, 1, json!([])));
    client.next().await;
    let started = Instant::now();
    let (answer, _) = tokio::join!(client.wait(300), say(&bob, &elsewhere, "hello"));
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(answer["rooms"].is_null() && answer["extensions"].is_null());
}

#[tokio::test]
async fn new_event_ends_the_wait() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let mut client = Client::new(&alice, list(9, 1, json!([])));
    client.next().await;
    let started = Instant::now();
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        say(&alice, &room, "hello").await
    };
    let (answer, _) = tokio::join!(client.wait(LONG), later);
    assert!(started.elapsed() < Duration::from_millis(LONG / 2));
    assert_eq!(bodies(&answer["rooms"][&room]), ["hello"]);
}

#[tokio::test]
async fn two_hundred_messages_take_two_hundred_answers() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    join(&bob, &room).await;
    let lazy = json!([["m.room.member", "$LAZY"], ["m.room.member", "$ME"]]);
    let mut body = list(19, 1, lazy);
    body["extensions"] = json!({
        "account_data": { "enabled": true }, "receipts": { "enabled": true },
        "typing": { "enabled": true }, "e2ee": { "enabled": true }, "to_device": { "enabled": true },
    });
    let mut client = Client::new(&alice, body);
    client.next().await;
    for number in 0..200 {
        let text = format!("m{number}");
        let started = Instant::now();
        let (answer, _) = tokio::join!(client.wait(LONG), say(&bob, &room, &text));
        assert_eq!(bodies(&answer["rooms"][&room]), [text.as_str()], "{answer}");
        assert!(
            started.elapsed() < Duration::from_millis(LONG / 2),
            "a wake-up was lost"
        );
    }
    let answer = client.next().await;
    assert!(answer["rooms"].is_null(), "{answer}");
}
