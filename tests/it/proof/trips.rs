//! Thousands of round trips: what one person sends, another one's waiting sync tells, and never only when its wait is over.
//!
//! First one after the other, then in many rooms at once; for classic and for sliding sync. How long they took is printed; what is
//! asserted is that nobody was forgotten: a lost wake-up would show as a wait to the end of a long poll.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::account::{Account, part};
use super::room_of;
use super::view::{Classic, Client, Sliding};
use crate::support::embedded::Embedded;

/// How many round trips there are of each kind unless `LETTA_PROOF_TRIPS` says otherwise (that is the sum of all kinds).
const TRIPS: usize = 800;
const ROOMS: usize = 10;
/// How long a sync waits. Nothing that is told takes as long, on the slowest of machines.
const LONG_POLL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_waits_is_forgotten_in_thousands_of_round_trips() {
    let each = super::size("LETTA_PROOF_TRIPS", TRIPS).div_ceil(4);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server"));
    server.lay_out(None);
    server.start().await;
    let url = server.url();
    let (alice, bob) = (
        Account::register(&url, "alice").await,
        Account::register(&url, "bob").await,
    );
    let room = room_of(&[&alice, &bob]).await;
    let took = trips(&alice, &room, Classic::new(bob.clone()), each).await;
    tell("one after the other, classic sync", took);
    let took = trips(&alice, &room, Sliding::new(bob), each).await;
    tell("one after the other, sliding sync", took);
    let took = at_once(&url, "classic", each, Classic::new).await;
    tell("ten rooms at once, classic sync", took);
    let took = at_once(&url, "sliding", each, Sliding::new).await;
    tell("ten rooms at once, sliding sync", took);
}

/// Pairs of people, each in a room of its own.
async fn at_once<C: Client + 'static>(
    url: &str,
    kind: &str,
    trips: usize,
    client: fn(Account) -> C,
) -> Vec<Duration> {
    let mut pairs = JoinSet::new();
    for number in 0..ROOMS {
        let alice = Account::register(url, &format!("alice-{kind}-{number}")).await;
        let bob = Account::register(url, &format!("bob-{kind}-{number}")).await;
        let room = room_of(&[&alice, &bob]).await;
        pairs.spawn(
            async move { self::trips(&alice, &room, client(bob), trips.div_ceil(ROOMS)).await },
        );
    }
    pairs.join_all().await.concat()
}

/// Sends to a client that waits, and measures from before the send until the client knows.
async fn trips<C: Client + 'static>(
    alice: &Account,
    room: &str,
    mut listener: C,
    trips: usize,
) -> Vec<Duration> {
    while listener.step(Duration::ZERO).await.expect("a first sync") > 0 {}
    let mut took = Vec::new();
    for number in 0..trips {
        let waiting = tokio::spawn(async move {
            while listener.step(LONG_POLL).await.expect("a sync") == 0 {}
            (listener, Instant::now())
        });
        // Sometimes the message comes before the sync has begun, sometimes when it waits.
        if number % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{}-{number}",
            part(room),
            part(std::any::type_name::<C>())
        );
        let sent = Instant::now();
        let content = json!({ "msgtype": "m.text", "body": number.to_string() });
        alice.ok(Method::PUT, &path, Some(&content)).await;
        let told = tokio::time::timeout(LONG_POLL * 2, waiting).await;
        let (back, told) = told.expect("told at last").expect("a listener");
        listener = back;
        let last = listener.picture().rooms[room].last().expect("an event");
        assert_eq!(last["content"]["body"], number.to_string());
        took.push(told.duration_since(sent));
    }
    took
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an index of a short list"
        )]
        let index = (took.len() as f64 * share) as usize;
        took[index.min(took.len() - 1)]
    };
    let (median, late, last) = (at(0.5), at(0.99), at(1.0));
    println!(
        "{what}: {} round trips, p50 {median:?}, p99 {late:?}, max {last:?}",
        took.len()
    );
    assert!(
        last < LONG_POLL,
        "{what}: somebody was forgotten for {last:?}"
    );
}
