//! What the bridge itself adds to a message: `cargo bench --bench overhead`.
//!
//! Two ways are measured, at one room and at 100 rooms at once:
//!
//! * in: the homeserver begins to send a transaction, until Letta has the request;
//! * out: Letta says the first token, until the homeserver has the `PUT` of the answer.
//!
//! Homeserver and Letta are doubles in this process, so all instants come from one clock. Between
//! them runs the release binary, and in a second pass of the same run a bare client that does
//! nothing but the two requests: "no bridge at all". The ratio of the two is the figure that holds
//! on other machines. The first token has 74 characters, so that pacing (first text after 40
//! characters or 700 ms) holds nothing back; it is also the first frame of its run.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]

mod bare;
mod book;
mod homeserver;
mod letta;
#[path = "../support/listen.rs"]
mod listen;
#[path = "../support/measure.rs"]
mod measure;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other bench uses the rest of it")]
mod support;

use std::{path::Path, time::Duration};

use anyhow::Context;
use serde_json::json;
use tokio::{process::Command, sync::mpsc};

use self::{
    book::{Book, Times},
    homeserver::{DOMAIN, Homeserver, room_of},
    measure::{fsync, percentile},
    support::{Process, client, free_port, init_bridge, run_bridge, token},
};

/// How many rooms talk at once when many do.
const ROOMS: usize = 100;
/// Messages in one room alone.
const MESSAGES_ALONE: usize = 100;
/// Messages in each of many rooms.
const MESSAGES_EACH: usize = 3;
/// Messages that are not counted, so that connections are there.
const WARM_UP: usize = 5;
/// A person's pause between an answer and the next question, in which a turn comes to its end.
const PAUSE: Duration = Duration::from_millis(150);
/// The most events of a transaction, as in Synapse.
const EVENTS_PER_TRANSACTION: usize = 100;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match std::env::var(bare::ENVIRONMENT) {
        Ok(environment) => runtime.block_on(bare::serve(&environment)),
        Err(_) => runtime.block_on(measure()),
    }
}

async fn measure() -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let book = Book::default();
    let (homeserver, homeserver_url) = Homeserver::start(book.clone(), client()?).await?;
    let letta_url = letta::start(book.clone(), ROOMS).await?;

    let bare = start_bare(dir.path(), &homeserver_url, &letta_url).await?;
    let without = Side::run("bare", &bare.url, "none", &book).await?;
    bare.process.end().await?;

    let bridge = start_bridge(dir.path(), &homeserver, &homeserver_url, &letta_url).await?;
    let with = Side::run("bridge", &bridge.url, &bridge.token, &book).await?;
    bridge.process.end().await?;

    report(&without, &with);
    println!("fsync of 4 KiB on this disk: {}", fsync(dir.path())?);
    Ok(())
}

struct Running {
    process: Process,
    url: String,
    token: String,
}

async fn start_bare(dir: &Path, homeserver: &str, letta: &str) -> anyhow::Result<Running> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(std::env::current_exe()?);
    command.env(bare::ENVIRONMENT, format!("{address} {homeserver} {letta}"));
    let mut process = Process::start(command, &dir.join("bare.log"))?;
    let url = format!("http://{address}");
    process
        .wait_for_ok(&format!("{url}/_matrix/mau/ready"))
        .await?;
    Ok(Running {
        process,
        url,
        token: String::new(),
    })
}

async fn start_bridge(
    dir: &Path,
    double: &Homeserver,
    homeserver: &str,
    letta: &str,
) -> anyhow::Result<Running> {
    let dir = dir.join("bridge");
    init_bridge(&dir, homeserver, DOMAIN, letta).await?;
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    let token = token(&dir, "hs_token")?;
    double.set_bridge(&url, &token);
    let mut process = Process::start(run_bridge(&dir, port), &dir.join("bridge.log"))?;
    process
        .wait_for_ok(&format!("{url}/_matrix/mau/ready"))
        .await?;
    tokio::time::timeout(Duration::from_mins(1), double.lists(ROOMS))
        .await
        .context("the agents did not get their rooms")?;
    Ok(Running {
        process,
        url,
        token,
    })
}

/// What one side, bare or bridge, took.
struct Side {
    alone: Vec<Times>,
    many: Vec<Times>,
}

impl Side {
    async fn run(name: &str, url: &str, token: &str, book: &Book) -> anyhow::Result<Self> {
        let (events, queue) = mpsc::channel(10_000);
        let sender = tokio::spawn(transactions(queue, book.clone(), url.into(), token.into()));
        let room = |room, messages, pass: &str| {
            talk(
                format!("{name}-{pass}-{room}"),
                room,
                messages,
                events.clone(),
                book.clone(),
            )
        };
        room(0, WARM_UP, "warm").await?;
        let alone = room(0, MESSAGES_ALONE, "alone").await?;
        let rooms = (0..ROOMS).map(|number| room(number, MESSAGES_EACH, "many"));
        let many = futures_util::future::try_join_all(rooms).await?.concat();
        drop(events);
        sender.await??;
        Ok(Self { alone, many })
    }
}

/// A person in a room: asks, waits for the answer to begin, pauses, asks again.
async fn talk(
    name: String,
    room: usize,
    messages: usize,
    events: mpsc::Sender<serde_json::Value>,
    book: Book,
) -> anyhow::Result<Vec<Times>> {
    let mut all = Vec::new();
    for number in 0..messages {
        let id = format!("${name}-{number}");
        let event = json!({
            "type": "m.room.message", "event_id": id, "sender": format!("@admin:{DOMAIN}"),
            "room_id": room_of(&letta::agent(room)),
            "origin_server_ts": 1_700_000_000_000_u64,
            "content": { "msgtype": "m.text", "body": "What do you say?" },
        });
        events.send(event).await?;
        let times = tokio::time::timeout(Duration::from_mins(1), book.answered(&id))
            .await
            .with_context(|| format!("{id} was not answered"))?;
        all.push(times);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(all)
}

/// A homeserver's sender: one transaction after the other, each with all that has gathered.
async fn transactions(
    mut queue: mpsc::Receiver<serde_json::Value>,
    book: Book,
    url: String,
    token: String,
) -> anyhow::Result<()> {
    let http = client()?;
    let mut events = Vec::new();
    let mut number = 0;
    while queue.recv_many(&mut events, EVENTS_PER_TRANSACTION).await > 0 {
        for event in &events {
            let id = event["event_id"].as_str().unwrap_or_default();
            book.note(id, |times| &mut times.sent);
        }
        let body = json!({ "events": std::mem::take(&mut events) });
        number += 1;
        http.put(format!("{url}/_matrix/app/v1/transactions/{number}"))
            .bearer_auth(&token)
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
    }
    Ok(())
}

/// One of the ways that are measured, out of a message's times.
type Way = fn(&Times) -> Option<Duration>;

fn report(without: &Side, with: &Side) {
    println!();
    println!(
        "| way | rooms | messages | no bridge p50 | p99 | bridge p50 | p99 | ratio p50 | p99 |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let ways: [(&str, Way); 2] = [
        ("transaction -> request to Letta", Times::way_in),
        ("first token -> PUT", Times::way_out),
    ];
    for (name, way) in ways {
        for (rooms, without, with) in [
            (1, &without.alone, &with.alone),
            (ROOMS, &without.many, &with.many),
        ] {
            let row = |times: &[Times]| {
                let times: Vec<Duration> = times.iter().filter_map(way).collect();
                [percentile(&times, 50), percentile(&times, 99)]
            };
            let ([bare50, bare99], [p50, p99]) = (row(without), row(with));
            println!(
                "| {name} | {rooms} | {} | {bare50:.2} ms | {bare99:.2} ms | {p50:.2} ms | {p99:.2} ms | {:.1} | {:.1} |",
                with.len(),
                p50 / bare50,
                p99 / bare99,
            );
        }
    }
    println!();
}
