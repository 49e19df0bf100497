//! `kill -9` under load, again and again: what was acknowledged is there afterwards, and there once.
//!
//! Writers of every kind go on over all kills. Two clients, one with classic and one with sliding sync, keep their pictures of all
//! rooms over all kills, too: in the end both have every event once, in the order that the server has. After each restart some of
//! everything is looked for, in the end all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use self::ledger::Ledger;
use self::writers::WriterContext;
use super::account::Account;
use super::view::{Classic, Client, Picture, Sliding, id};
use super::{history_of, room_of};
use crate::support::embedded::Embedded;
use crate::support::process::tail;

mod ledger;
mod writers;

/// How many kills there are unless `LETTA_PROOF_KILLS` says otherwise.
const KILLS: usize = 10;
/// How long the server lives between two kills, in milliseconds, besides the look at what is there.
const LIFE_MS: std::ops::Range<u64> = 20..500;
const ROOMS: usize = 3;
const WRITERS_PER_ROOM: usize = 2;
/// How long a sync waits.
const WAIT: Duration = Duration::from_secs(2);
/// How long a client that was cut off waits before it asks again.
const AGAIN: Duration = Duration::from_millis(10);

/// Who is there.
struct House {
    reader: Account,
    people: Vec<Account>,
    rooms: Vec<String>,
}

impl House {
    async fn new(url: &str) -> Self {
        let reader = Account::register(url, "reader").await;
        let mut people = Vec::new();
        for number in 0..ROOMS * WRITERS_PER_ROOM {
            people.push(Account::register(url, &format!("writer{number}")).await);
        }
        let mut rooms = Vec::new();
        for pair in people.chunks(WRITERS_PER_ROOM) {
            let all: Vec<&Account> = pair.iter().chain([&reader]).collect();
            rooms.push(room_of(&all).await);
        }
        Self {
            reader,
            people,
            rooms,
        }
    }

    /// Sends everybody to work.
    fn begin(&self, ctx: &WriterContext) -> JoinSet<()> {
        let mut work = JoinSet::new();
        for (person, index) in self.people.iter().zip(0..) {
            let room = self.rooms[index / WRITERS_PER_ROOM].clone();
            work.spawn(writers::messages(ctx.clone(), person.clone(), room));
        }
        let of = |index: usize| self.people[index].clone();
        let reader = self.reader.user_id.clone();
        work.spawn(writers::to_devices(ctx.clone(), of(0), reader));
        work.spawn(writers::account_data(ctx.clone(), of(1)));
        work.spawn(writers::media(ctx.clone(), of(2)));
        work.spawn(writers::one_time_keys(ctx.clone(), of(3)));
        work.spawn(writers::claims(ctx.clone(), of(4), of(3)));
        work.spawn(writers::sessions(ctx.clone(), of(5).user_id));
        work
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nobody_sees_a_gap_or_a_double() {
    let kills = super::size("LETTA_PROOF_KILLS", KILLS);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server"));
    server.lay_out(None);
    server.start().await;
    let house = House::new(&server.url()).await;
    let again = async || Account::log_in(&server.url(), &house.reader.user_id).await;
    let (classic, sliding) = (again().await.unwrap(), again().await.unwrap());
    let quiet = Arc::new(AtomicBool::new(false));
    let mut classic = Classic::new(classic);
    let mut sliding = Sliding::new(sliding);
    // Both begin before anything is said, so that all of it is in their pictures.
    classic.step(Duration::ZERO).await.expect("a first sync");
    sliding.step(Duration::ZERO).await.expect("a first sync");
    let classic = follow(classic, Arc::clone(&quiet));
    let sliding = follow(sliding, Arc::clone(&quiet));
    let ctx = WriterContext {
        url: server.url(),
        ledger: Arc::default(),
        over: Arc::default(),
    };
    let mut work = house.begin(&ctx);

    for _ in 0..kills {
        let life = rand::rng().random_range(LIFE_MS);
        tokio::time::sleep(Duration::from_millis(life)).await;
        server.kill9().await;
        server.start().await;
        let sample = ctx.ledger.lock().unwrap().sample();
        sample.look(&house.reader, &house.people[1]).await;
        if let Some(ended) = work.try_join_next() {
            panic!("a writer ended: {ended:?}");
        }
    }
    ctx.over.store(true, Ordering::Relaxed);
    while let Some(ended) = work.join_next().await {
        ended.expect("a writer");
    }
    quiet.store(true, Ordering::Relaxed);
    let (classic, sliding) = (classic.await.unwrap(), sliding.await.unwrap());
    let ledger = Arc::try_unwrap(ctx.ledger).expect("nobody writes any more");
    let ledger = ledger.into_inner().unwrap();
    ledger.look(&house.reader, &house.people[1]).await;
    ledger.settle(&house.people[3], &house.people[1]).await;
    compare(&house, &ledger, [&classic.picture, &sliding.picture]).await;
    tell(kills, &ledger, sliding.anew);
    let log = std::fs::read_to_string(server.log()).expect("a log");
    assert!(!log.contains("panicked"), "{}", tail(&server.log(), 40));
}

/// Lets a client follow everything until it is quiet.
fn follow<C: Client + 'static>(mut client: C, quiet: Arc<AtomicBool>) -> JoinHandle<C> {
    tokio::spawn(async move {
        loop {
            let last = quiet.load(Ordering::Relaxed);
            match client.step(WAIT).await {
                Ok(0) if last => return client,
                Ok(_) => {}
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    })
}

/// Every event once, in the same order for all, and each message to a device once.
async fn compare(house: &House, ledger: &Ledger, pictures: [&Picture; 2]) {
    for room in &house.rooms {
        let history = history_of(room, &house.reader).await;
        let bodies = |events: &[Value]| -> Vec<String> {
            let texts = events
                .iter()
                .filter_map(|event| event["content"]["body"].as_str());
            texts.map(str::to_owned).collect()
        };
        let mut said = bodies(&history);
        let acknowledged = ledger.events.iter().filter(|sent| sent.room == *room);
        assert_eq!(said.len(), acknowledged.count(), "messages in {room}");
        said.sort();
        said.dedup();
        let ids: Vec<&str> = history.iter().map(id).collect();
        for picture in pictures {
            let seen: Vec<&str> = picture.rooms[room].iter().map(id).collect();
            assert!(
                ids.ends_with(&seen),
                "{room}: a client sees another order, or a gap"
            );
            assert_eq!(bodies(&picture.rooms[room]).len(), said.len(), "{room}");
        }
    }
    for picture in pictures {
        let texts = picture
            .to_device
            .iter()
            .filter_map(|event| event["content"]["text"].as_str());
        let mut texts: Vec<String> = texts.map(str::to_owned).collect();
        let mut sent = ledger.to_device.clone();
        texts.sort();
        sent.sort();
        assert_eq!(texts, sent, "messages to a device");
    }
}

fn tell(kills: usize, ledger: &Ledger, anew: usize) {
    println!(
        "{kills} kills; acknowledged: {} events, {} files, {} sessions ({} ended), {} one-time keys ({} claimed, {} claims \
         unseen), {} changes of account data, {} messages to devices; sliding sync began anew {anew} times",
        ledger.events.len(),
        ledger.media.len(),
        ledger.sessions.len(),
        ledger.ended.len(),
        ledger.keys_uploaded,
        ledger.keys_claimed.len(),
        ledger.claims_unseen,
        ledger.data_kept,
        ledger.to_device.len(),
    );
}
