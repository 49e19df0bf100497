//! The end of a server: it comes soon, whatever hangs, and nobody is left waiting.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::CLOSE_MAX;
use crate::testing::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_closes_in_time_though_a_task_hangs() {
    let test = TestServer::start().await;
    test.server.tasks.spawn(std::future::pending::<()>());
    let asked = Instant::now();
    test.server.close().await;
    let took = asked.elapsed();
    assert!(took >= CLOSE_MAX, "it was waited for: {took:?}");
    assert!(took < 2 * CLOSE_MAX, "not for ever: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_closes_at_once_if_nothing_hangs() {
    let test = TestServer::start().await;
    let asked = Instant::now();
    test.server.close().await;
    assert!(asked.elapsed() < CLOSE_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_sync_is_answered_at_shutdown() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let since = alice.get("/_matrix/client/v3/sync").await["next_batch"].clone();
    let since = since.as_str().unwrap();
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=60000";
    let lists = json!({ "lists": { "all": {
        "ranges": [[0, 9]], "required_state": [], "timeline_limit": 1
    } } });
    let first = alice.post(path, lists.clone()).await;
    let pos = first["pos"].as_str().unwrap();

    let classic = format!("/_matrix/client/v3/sync?timeout=60000&since={since}");
    let sliding = format!("{path}&pos={pos}");
    let waiting = [
        (Method::GET, classic, json!({})),
        (Method::POST, sliding, lists),
    ]
    .map(|(method, path, body)| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.ok(method, &path, body).await })
    });
    // Long enough for both to wait, and it proves nothing if they do not.
    tokio::time::sleep(Duration::from_millis(200)).await;
    test.server.cancel_waiters();
    for answer in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        let answer = answer.expect("answered at once").unwrap();
        assert!(answer.get("next_batch").or(answer.get("pos")).is_some());
    }
    // Who comes later does not wait either.
    let later = alice.get("/_matrix/client/v3/sync?timeout=60000").await;
    assert!(later["next_batch"].is_string());
}
