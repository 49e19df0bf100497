//! One account whose syncs walk through all its rooms at once does not hold up its neighbors: how long they wait is printed beside how
//! long they wait when nobody else is there.
//!
//! Timed figures depend on the machine, so only `make proof` judges them; what must never happen (a scan on an async worker) is
//! counted in the tests of the homeserver itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::account::{Account, part};
use super::room_of;
use crate::support::embedded::Embedded;

/// In how many rooms the busy account is unless `LETTA_PROOF_ROOMS` says otherwise.
const ROOMS: usize = 20;
/// How many of its syncs run at the same time.
const SYNCS_AT_ONCE: usize = 8;
/// How often each neighbor asks.
const PROBES: usize = 100;
/// By how much a neighbor may be slower at the 99th percentile than without the busy account.
const SLOWER_MAX: u32 = 10;
/// What counts as no wait at all: a busy machine takes as long to wake a thread.
const NO_WAIT: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_account_does_not_hold_up_its_neighbors() {
    let rooms = super::size("LETTA_PROOF_ROOMS", ROOMS);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server"));
    server.lay_out(None);
    server.start().await;
    let url = server.url();
    let (busy, neighbor) = (
        Account::register(&url, "busy").await,
        Account::register(&url, "neighbor").await,
    );
    let first = busy.get("/_matrix/client/v3/sync?timeout=0").await;
    let old = first["next_batch"].as_str().expect("a token").to_owned();
    for _ in 0..rooms {
        room_of(&[&busy]).await;
    }
    let own = room_of(&[&neighbor]).await;
    let idle = probe(&neighbor, &own, "idle", &url).await;

    let (ends, rounds) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut flood = JoinSet::new();
    for number in 0..SYNCS_AT_ONCE {
        let (busy, old) = (busy.clone(), old.clone());
        let (ends, rounds) = (ends.clone(), rounds.clone());
        flood.spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                sync(&busy, &old, number).await;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while rounds.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let beside = probe(&neighbor, &own, "busy", &url).await;
    ends.store(true, Ordering::Relaxed);
    flood.join_all().await;

    println!(
        "{rooms} rooms, {} syncs meanwhile",
        rounds.load(Ordering::Relaxed)
    );
    for ((what, idle), (_, beside)) in idle.iter().zip(&beside) {
        println!(
            "{what}: p50 {:?} idle, {:?} beside; p99 {:?} idle, {:?} beside",
            idle[0], beside[0], idle[1], beside[1]
        );
        // At its usual size this is no measurement.
        if std::env::var_os("LETTA_PROOF_ROOMS").is_some() {
            let most = idle[1].max(NO_WAIT) * SLOWER_MAX;
            assert!(
                beside[1] <= most,
                "{what}: {:?}, not within {most:?}",
                beside[1]
            );
        }
    }
}

/// One walk through all rooms: with an old token, from the beginning, or the first round of a sliding sync.
async fn sync(busy: &Account, old: &str, number: usize) {
    match number % 3 {
        0 => {
            let path = format!("/_matrix/client/v3/sync?timeout=0&since={}", part(old));
            busy.load(Method::GET, &path, None).await;
        }
        1 => {
            let path = "/_matrix/client/v3/sync?timeout=0";
            busy.load(Method::GET, path, None).await;
        }
        _ => {
            let list = json!({ "ranges": [[0, 100_000]], "timeline_limit": 10, "required_state": [["*", "*"]] });
            let body = json!({ "conn_id": number.to_string(), "lists": { "all": list } });
            let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
            busy.load(Method::POST, path, Some(&body)).await;
        }
    }
}

/// How long a neighbor waits, at the 50th and the 99th percentile.
type Waits = [Duration; 2];

/// Asks from a thread of its own: what the busy account has to read here does not count.
async fn probe(
    neighbor: &Account,
    room: &str,
    when: &'static str,
    url: &str,
) -> Vec<(&'static str, Waits)> {
    let (user, room, url) = (neighbor.user_id.clone(), room.to_owned(), url.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            // With connections that this thread serves.
            let neighbor = Account::log_in(&url, &user).await.expect("a login");
            ask_often(&neighbor, &room, when).await
        })
    });
    asking.await.expect("figures")
}

async fn ask_often(neighbor: &Account, room: &str, when: &str) -> Vec<(&'static str, Waits)> {
    let (mut versions, mut whoami, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..PROBES {
        let started = Instant::now();
        neighbor.get("/_matrix/client/versions").await;
        versions.push(started.elapsed());
        let started = Instant::now();
        neighbor.get("/_matrix/client/v3/account/whoami").await;
        whoami.push(started.elapsed());
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{when}-{number}",
            part(room)
        );
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        let started = Instant::now();
        neighbor.ok(Method::PUT, &path, Some(&content)).await;
        sent.push(started.elapsed());
    }
    let named = [
        ("versions", versions),
        ("whoami", whoami),
        ("a message", sent),
    ];
    named.map(|(what, waits)| (what, percentiles(waits))).into()
}

fn percentiles(mut waits: Vec<Duration>) -> Waits {
    waits.sort();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)];
    [at(50), at(99)]
}
