//! Many rooms in which agents speak at once: `cargo bench --bench streams`, some three minutes.
//!
//! In every room one agent speaks so many tokens a second, all at the same time: first over REST,
//! then over the App Server's protocol. Both Lettas are doubles in this process, which say numbered
//! words and note when each was said. The homeserver is the embedded one, in a process of its own,
//! and so is the bridge. A person is in all rooms, syncs as a client does, and notes when each word
//! is first to be seen: the time between the two is how far what is shown lags behind.
//!
//! `-- --rooms 10 --rate 20 --seconds 10` changes the sizes, `--way rest` measures one way only.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]

mod homeserver;
#[path = "../support/listen.rs"]
mod listen;
#[path = "../support/measure.rs"]
#[allow(dead_code, reason = "the other benches use the rest of it")]
mod measure;
mod person;
mod rest;
mod socket;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other benches use the rest of it")]
mod support;
mod words;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tokio::process::Command;

use self::{
    homeserver::{DOMAIN, Homeserver},
    measure::percentile,
    person::Person,
    support::{Process, bridge, free_port, only_talk, run_bridge, run_to_end},
    words::{Pace, Words},
};

/// The longest wait for all agents to get their rooms, and for all words to be shown after the last one was said.
const PATIENCE: Duration = Duration::from_mins(3);

/// What is measured.
#[derive(Parser)]
struct Sizes {
    /// How many agents speak at once, each in a room of its own.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// How many tokens each says in a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this way to Letta.
    #[arg(long, value_enum)]
    way: Option<Way>,
    /// Cargo says this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way to Letta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    Rest,
    AppServer,
}

impl Way {
    /// As the configuration calls it.
    fn backend(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::AppServer => "app-server",
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sizes = Sizes::parse();
    let pace = Pace {
        rate: sizes.rate,
        count: usize::try_from(sizes.rate * sizes.seconds)?,
    };
    println!(
        "| way | rooms | tokens | messages and edits | homeserver CPU | per edit | lag p50 | p99 | max \
         | bridge CPU | bridge RSS, at most | homeserver RSS |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for way in [Way::Rest, Way::AppServer] {
        if sizes.way.is_none_or(|only| only == way) {
            measure(way, sizes.rooms, pace).await?;
        }
    }
    Ok(())
}

/// Measures one way, and prints its line.
async fn measure(way: Way, rooms: usize, pace: Pace) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let words = Words::new(rooms);
    let letta = match way {
        Way::Rest => rest::start(words.clone(), pace, rooms).await?,
        Way::AppServer => socket::start(words.clone(), pace, rooms).await?,
    };
    let homeserver = Homeserver::new(&dir.path().join("homeserver"))?;
    let port = free_port()?;
    let bridge_dir = dir.path().join("bridge");
    init(&bridge_dir, way, &homeserver.url, &letta, port).await?;
    let server = homeserver
        .start(&bridge_dir.join("registration.yaml"))
        .await?;
    let person = Person::register(&homeserver.url, words.clone()).await?;
    let mut bridge = Process::start(
        run_bridge(&bridge_dir, port),
        &dir.path().join("bridge.log"),
    )?;
    bridge
        .wait_for_ok(&format!("http://127.0.0.1:{port}/_matrix/mau/ready"))
        .await?;
    let entered = tokio::time::timeout(PATIENCE, person.enter(rooms));
    let entered = entered.await.context("not all agents got a room")??;
    let watching = tokio::spawn(person.clone().watch());

    let (server_cpu, bridge_cpu) = (server.cpu_seconds()?, bridge.cpu_seconds()?);
    let began = Instant::now();
    for room in &entered {
        person.say(room, "Go on.").await?;
    }
    let patience = PATIENCE + pace.lasts();
    tokio::time::timeout(patience, words.all_seen(pace.count))
        .await
        .context("not everything that was said has been shown")?;
    let (server_cpu, bridge_cpu) = (
        server.cpu_seconds()? - server_cpu,
        bridge.cpu_seconds()? - bridge_cpu,
    );
    watching.abort();
    let (lags, shows) = words.lags();
    println!(
        "| {way:?} | {rooms} | {} | {shows} | {server_cpu:.1} s | {:.2} ms | {:.0} ms | {:.0} ms | {:.0} ms \
         | {bridge_cpu:.1} s | {:.0} MiB, {:.0} MiB | {:.0} MiB |",
        lags.len(),
        server_cpu * 1000.0 / f64::from(u32::try_from(shows)?),
        percentile(&lags, 50),
        percentile(&lags, 99),
        percentile(&lags, 100),
        bridge.memory_mib("VmRSS")?,
        bridge.memory_mib("VmHWM")?,
        server.memory_mib("VmRSS")?,
    );
    eprintln!("{way:?} took {:?}", began.elapsed());
    bridge.end().await?;
    server.end().await
}

/// Has the bridge write its two files, as an admin does.
async fn init(
    dir: &Path,
    way: Way,
    homeserver: &str,
    letta: &str,
    port: u16,
) -> anyhow::Result<()> {
    let mut command = Command::new(bridge());
    command
        .args([
            "init",
            "--homeserver",
            "tuwunel",
            "--backend",
            way.backend(),
        ])
        .args([
            "--address",
            homeserver,
            "--domain",
            DOMAIN,
            "--letta-url",
            letta,
        ])
        .args(["--admin", &format!("@admin:{DOMAIN}"), "--dir"])
        .arg(dir)
        .env("BRIDGE_APPSERVICE__PORT", port.to_string());
    run_to_end(command).await?;
    only_talk(dir)
}
