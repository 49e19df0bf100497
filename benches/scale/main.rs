//! A thousand agents on a real Synapse: `make scale`, some ten minutes.
//!
//! First a bare client sets up everybody on one fresh Synapse, then the bridge does it on another
//! one, in the same run and with the same requests, which the access logs show. Then nobody does
//! anything for a minute, and the bridge is looked at from outside: what it asked the homeserver,
//! its CPU time, its memory.
//!
//! Letta is the scripted one, in this process. `-- --agents 100 --idle-seconds 10` changes how many
//! and how long. `-- --alone` measures the one program on the homeserver that it brings along
//! instead, with a tenth of the agents and with all of them.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]

mod bare;
mod standalone;
#[path = "../support/process.rs"]
mod support;
mod synapse;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{Json, Router};
use clap::Parser;
use letta_client::demo::{Demo, DemoServer};
use serde_json::json;
use tokio::net::TcpListener;

use self::{
    bare::Bare,
    support::{Process, client, free_port, init_bridge, run_bridge, token},
    synapse::{DOMAIN, Synapse},
};

/// What the bridge says when it has set up everybody whom it has seen.
const SET_UP: &str = "agents are set up";
/// How often its log is looked at: times are this exact.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The longest that one side may take.
const PATIENCE: Duration = Duration::from_mins(30);
/// Between the last request and the minute in which nothing must happen: Synapse passes on events.
const SETTLE: Duration = Duration::from_secs(10);

/// How much is measured.
#[derive(Parser)]
struct Flags {
    /// How many agents there are.
    #[arg(long, default_value_t = 1_000)]
    agents: usize,
    /// How long nobody does anything.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// The one program alone, without Synapse.
    #[arg(long)]
    alone: bool,
    /// Cargo says so to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (agents, idle) = (flags.agents, Duration::from_secs(flags.idle_seconds));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    if flags.alone {
        return standalone::measure(dir.path(), &[agents / 10, agents], idle).await;
    }
    let demo = Demo::builder().agents(agents).build();
    let letta = DemoServer::start(demo.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).await?;

    let without = run_bare(&dir.path().join("bare"), &demo).await?;
    let (with, rest) = run_bridge_side(&dir.path().join("bridge"), &letta, agents, idle).await?;
    report(agents, &without, &with);
    rest.report(idle);
    Ok(())
}

/// What setting up everybody took.
struct Side {
    took: Duration,
    synapse_cpu: f64,
    own_cpu: f64,
    requests: BTreeMap<String, usize>,
}

async fn run_bare(dir: &Path, demo: &Demo) -> anyhow::Result<Side> {
    let synapse = Synapse::new(dir.join("synapse"))?;
    init_bridge(dir, &synapse.url, DOMAIN, "http://127.0.0.1:1").await?;
    point_registration_to(dir, &sink().await?)?;
    let process = synapse.start(&dir.join("registration.yaml")).await?;
    let bare = bare(dir, &synapse)?;
    let (cpu, began) = (process.cpu_seconds()?, Instant::now());
    let agents = demo.agents();
    let expected = agents.len();
    bare.provision(agents).await?;
    let side = Side {
        took: began.elapsed(),
        synapse_cpu: process.cpu_seconds()? - cpu,
        own_cpu: f64::NAN,
        requests: synapse.requests()?,
    };
    ensure!(
        bare.rooms_in_space().await? == expected,
        "rooms are missing"
    );
    process.end().await?;
    Ok(side)
}

async fn run_bridge_side(
    dir: &Path,
    letta: &DemoServer,
    agents: usize,
    idle: Duration,
) -> anyhow::Result<(Side, Rest)> {
    let synapse = Synapse::new(dir.join("synapse"))?;
    init_bridge(dir, &synapse.url, DOMAIN, &letta.url()).await?;
    let port = free_port()?;
    point_registration_to(dir, &format!("http://127.0.0.1:{port}"))?;
    let process = synapse.start(&dir.join("registration.yaml")).await?;
    let (cpu, began) = (process.cpu_seconds()?, Instant::now());
    let log = dir.join("bridge.log");
    let bridge = Process::start(run_bridge(dir, port), &log)?;
    until_it_says(&log, SET_UP).await?;
    let side = Side {
        took: began.elapsed(),
        synapse_cpu: process.cpu_seconds()? - cpu,
        own_cpu: bridge.cpu_seconds()?,
        requests: synapse.requests()?,
    };
    let listed = bare(dir, &synapse)?.rooms_in_space().await?;
    ensure!(
        listed == agents,
        "{listed} of {agents} rooms are in the space"
    );
    let rest = Rest::watch(&synapse, &process, &bridge, letta.demo(), idle).await?;
    bridge.end().await?;
    process.end().await?;
    Ok((side, rest))
}

/// Waits until these words are in the log of the bridge.
async fn until_it_says(log: &Path, words: &str) -> anyhow::Result<()> {
    let said = async {
        while !std::fs::read_to_string(log)?.contains(words) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, said)
        .await
        .with_context(|| format!("the bridge does not say {words:?}, see {}", log.display()))?
}

fn bare(dir: &Path, synapse: &Synapse) -> anyhow::Result<Bare> {
    Ok(Bare {
        http: client()?,
        url: synapse.url.clone(),
        as_token: token(dir, "as_token")?,
    })
}

/// Takes what Synapse passes on when there is no bridge to take it, so that it works as much.
async fn sink() -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(async || Json(json!({})));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

fn point_registration_to(dir: &Path, url: &str) -> anyhow::Result<()> {
    let path = dir.join("registration.yaml");
    let mut registration: serde_yaml::Mapping =
        serde_yaml::from_str(&std::fs::read_to_string(&path)?)?;
    registration.insert("url".into(), url.into());
    Ok(std::fs::write(
        &path,
        serde_yaml::to_string(&registration)?,
    )?)
}

/// The bridge while nobody does anything.
struct Rest {
    requests: usize,
    looks: u64,
    cpu: f64,
    synapse_cpu: f64,
    memory_mib: f64,
    memory_most_mib: f64,
}

impl Rest {
    async fn watch(
        synapse: &Synapse,
        homeserver: &Process,
        bridge: &Process,
        demo: &Demo,
        idle: Duration,
    ) -> anyhow::Result<Self> {
        tokio::time::sleep(SETTLE).await;
        let looks = || demo.request_count("GET /v1/agents/");
        let requests = || anyhow::Ok(synapse.requests()?.values().sum::<usize>());
        let before = (
            requests()?,
            looks(),
            bridge.cpu_seconds()?,
            homeserver.cpu_seconds()?,
        );
        tokio::time::sleep(idle).await;
        Ok(Self {
            requests: requests()? - before.0,
            looks: looks() - before.1,
            cpu: bridge.cpu_seconds()? - before.2,
            synapse_cpu: homeserver.cpu_seconds()? - before.3,
            memory_mib: bridge.memory_mib("VmRSS")?,
            memory_most_mib: bridge.memory_mib("VmHWM")?,
        })
    }

    fn report(&self, idle: Duration) {
        let percent = 100.0 * self.cpu / idle.as_secs_f64();
        println!("\nAt rest for {} s:\n", idle.as_secs());
        println!("| requests to the homeserver | {} |", self.requests);
        println!("|---|---:|");
        println!("| pages of agents asked of Letta | {} |", self.looks);
        println!(
            "| CPU of the bridge | {:.2} s, {percent:.1} % of one core |",
            self.cpu
        );
        println!("| CPU of Synapse meanwhile | {:.2} s |", self.synapse_cpu);
        println!(
            "| memory of the bridge now (RSS) | {:.1} MiB |",
            self.memory_mib
        );
        println!(
            "| the most it ever took | {:.1} MiB |",
            self.memory_most_mib
        );
    }
}

fn report(agents: usize, without: &Side, with: &Side) {
    println!("\nSetting up {agents} agents:\n");
    println!("| | bare client | bridge | ratio |");
    println!("|---|---:|---:|---:|");
    let row = |what: &str, bare: f64, bridge: f64| {
        println!(
            "| {what} | {bare:.1} s | {bridge:.1} s | {:.2} |",
            bridge / bare
        );
    };
    row("time", without.took.as_secs_f64(), with.took.as_secs_f64());
    row("CPU of Synapse", without.synapse_cpu, with.synapse_cpu);
    println!("| CPU of the bridge | | {:.1} s | |", with.own_cpu);
    let mut kinds: Vec<&String> = without
        .requests
        .keys()
        .chain(with.requests.keys())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let count = |side: &Side| side.requests.get(kind).copied().unwrap_or_default();
        println!("| `{kind}` | {} | {} | |", count(without), count(with));
    }
}
