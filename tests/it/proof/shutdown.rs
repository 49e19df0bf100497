//! SIGTERM in the middle of work: who waits is answered at once, the end comes soon, and nothing acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::account::{Account, part};
use super::{history_of, room_of};
use crate::support::embedded::Embedded;

const WRITERS: usize = 8;
/// How long the waiting syncs would wait, in milliseconds.
const LONG_POLL_MS: u64 = 60_000;
/// How long the writers write before the signal.
const LIFE: Duration = Duration::from_millis(700);
/// The longest end: requests in flight, then tasks, each has a limit of its own. Container runtimes kill after ten seconds.
const END_MAX: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_under_load_is_soon_and_clean() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server"));
    server.lay_out(None);
    server.start().await;
    let mut people = Vec::new();
    for number in 0..WRITERS {
        people.push(Account::register(&server.url(), &format!("writer{number}")).await);
    }
    let room = room_of(&people.iter().collect::<Vec<_>>()).await;
    // They wait for something that never comes: they are in no room.
    let lonely = Account::register(&server.url(), "lonely").await;
    let since = lonely
        .get("/_matrix/client/v3/sync?set_presence=offline")
        .await;
    let since = since["next_batch"].as_str().expect("a token").to_owned();
    let classic = tokio::spawn(wait_classic(lonely.clone(), since.clone()));
    let sliding = tokio::spawn(wait_sliding(lonely.clone()));
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for person in &people {
        writers.spawn(write(person.clone(), room.clone(), Arc::clone(&ended)));
    }
    tokio::time::sleep(LIFE).await;
    assert!(
        !classic.is_finished() && !sliding.is_finished(),
        "they wait"
    );
    let asked = Instant::now();
    let (status, took) = server.stop().await.expect("it ran");
    ended.store(true, Ordering::Relaxed);
    assert!(status.success(), "{status}");
    assert!(took < END_MAX, "the end took {took:?}");
    for waited in [classic.await.unwrap(), sliding.await.unwrap()] {
        let answered = waited.expect("an answer, not a cut connection");
        let late = answered.duration_since(asked);
        assert!(
            late < took,
            "answered {late:?} after the signal, the end took {took:?}"
        );
    }
    let written = writers.join_all().await.concat();
    println!(
        "the end took {took:?}, {} messages before it",
        written.len()
    );

    server.start().await;
    let next = format!("/_matrix/client/v3/sync?timeout=0&since={}", part(&since));
    lonely.get(&next).await;
    let history = history_of(&room, &people[0]).await;
    for event in &written {
        let times = history
            .iter()
            .filter(|one| one["event_id"] == **event)
            .count();
        assert_eq!(times, 1, "{event} is there {times} times");
    }
    assert!(!written.is_empty(), "there was no load");
}

/// Sends until the server is gone. Gives the events that were acknowledged.
async fn write(person: Account, room: String, ended: Arc<AtomicBool>) -> Vec<String> {
    let mut written = Vec::new();
    for number in 0.. {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{number}",
            part(&room)
        );
        let content = json!({ "msgtype": "m.text", "body": "x" });
        match person.ask(Method::PUT, &path, Some(&content)).await {
            Ok((StatusCode::OK, answer)) => {
                written.extend(answer["event_id"].as_str().map(str::to_owned));
            }
            Ok((status, answer)) => panic!("{status} {answer}"),
            Err(_) if ended.load(Ordering::Relaxed) => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    written
}

async fn wait_classic(lonely: Account, since: String) -> reqwest::Result<Instant> {
    let path = format!(
        "/_matrix/client/v3/sync?set_presence=offline&timeout={LONG_POLL_MS}&since={}",
        part(&since)
    );
    let (status, answer) = lonely.ask(Method::GET, &path, None).await?;
    assert!(
        status.is_success() && answer["next_batch"].is_string(),
        "{status} {answer}"
    );
    Ok(Instant::now())
}

async fn wait_sliding(lonely: Account) -> reqwest::Result<Instant> {
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?set_presence=offline";
    let body = json!({ "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [] } } });
    let first: Value = lonely.post(path, &body).await;
    let pos = first["pos"].as_str().expect("a position");
    let path = format!("{path}&timeout={LONG_POLL_MS}&pos={}", part(pos));
    let (status, answer) = lonely.ask(Method::POST, &path, Some(&body)).await?;
    assert!(
        status.is_success() && answer["pos"].is_string(),
        "{status} {answer}"
    );
    Ok(Instant::now())
}
