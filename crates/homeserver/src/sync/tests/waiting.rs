//! Syncs that wait: woken in time, never for nothing.

use std::time::{Duration, Instant};

use super::{join, room, said, say, sync};
use crate::testing::TestServer;

/// How often somebody says something to somebody who waits.
const ROUNDS: usize = 1_000;
/// No wake-up takes longer: a lost one would take the whole wait of the sync.
const LATENCY_MAX: Duration = Duration::from_secs(1);
/// How long the syncs wait, in milliseconds.
const WAIT_MS: usize = 30_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_waiting_sync_is_woken() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "public_chat").await;
    join(&bob, &id).await;
    let mut since = sync(&bob, "").await["next_batch"].clone();
    for round in 0..ROUNDS {
        let text = format!("{round}");
        let path = format!(
            "/_matrix/client/v3/sync?timeout={WAIT_MS}&set_presence=offline&since={}",
            since.as_str().unwrap()
        );
        let waiting = tokio::spawn({
            let (bob, path) = (bob.clone(), path.clone());
            async move { bob.get(&path).await }
        });
        // Sometimes the message comes before the sync has begun, sometimes while it reads, sometimes when it waits.
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
        say(&alice, &id, &text).await;
        let said_at = Instant::now();
        let mut answer = waiting.await.unwrap();
        let late = said_at.elapsed();
        assert!(late < LATENCY_MAX, "round {round} took {late:?}");
        if said(&answer["rooms"]["join"][&id]).is_empty() {
            let since = answer["next_batch"].as_str().unwrap().to_owned();
            answer = sync(&bob, &format!("since={since}")).await;
        }
        assert_eq!(said(&answer["rooms"]["join"][&id]), [text]);
        since = answer["next_batch"].clone();
    }
}

#[tokio::test]
async fn unrelated_event_wakes_no_sync() {
    let test = TestServer::start_with(|config| {
        config.sync.allow_local_presence = false;
        config.sync.client_sync_timeout_min = Duration::from_millis(1);
    })
    .await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let id = room(&alice, "private_chat").await;
    let first = sync(&bob, "").await;
    let since = first["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/sync?timeout=400&since={since}");
    let started = Instant::now();
    let (answer, _) = tokio::join!(bob.get(&path), say(&alice, &id, "elsewhere"));
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert!(answer["rooms"].is_null());
    // The token goes on all the same, so that the next sync does not look at the same stretch again.
    assert_ne!(answer["next_batch"], first["next_batch"]);
}
