//! The one program with the homeserver that it brings along: what more agents cost it.
//!
//! For each size everything is new. The times are from the start of the process until it says that everybody is set up, on an
//! empty folder, and until it says that it is ready on the one that has it all.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use letta_client::demo::{Demo, DemoServer};
use tokio::process::Command;

use super::{
    SET_UP, SETTLE,
    support::{Process, bridge, free_port, only_talk, run_to_end},
    until_it_says,
};

/// What it says when it takes messages. There is nobody left to set up at a start on what is there already.
const READY: &str = "ready: @";

/// What one size has shown.
struct Size {
    agents: usize,
    first: Duration,
    again: Duration,
    cpu: f64,
    idle_cpu: f64,
    memory_mib: f64,
    memory_most_mib: f64,
    restarted_mib: f64,
}

/// Measures each number of agents, and prints them side by side.
pub(crate) async fn measure(dir: &Path, sizes: &[usize], idle: Duration) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for &agents in sizes {
        let dir = dir.join(agents.to_string());
        shown.push(one(&dir, agents, idle).await?);
    }
    report(&shown, idle);
    Ok(())
}

async fn one(dir: &Path, agents: usize, idle: Duration) -> anyhow::Result<Size> {
    let demo = Demo::builder().agents(agents).build();
    let letta = DemoServer::start(demo, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    init(dir, &letta.url()).await?;
    let (process, first) = start(dir, "first.log", SET_UP).await?;
    let cpu = process.cpu_seconds()?;
    tokio::time::sleep(SETTLE).await;
    let before = process.cpu_seconds()?;
    tokio::time::sleep(idle).await;
    let idle_cpu = process.cpu_seconds()? - before;
    let [memory_mib, memory_most_mib] = ["VmRSS", "VmHWM"].map(|it| process.memory_mib(it));
    process.end().await?;
    let (process, again) = start(dir, "again.log", READY).await?;
    let restarted_mib = process.memory_mib("VmRSS")?;
    process.end().await?;
    Ok(Size {
        agents,
        first,
        again,
        cpu,
        idle_cpu,
        memory_mib: memory_mib?,
        memory_most_mib: memory_most_mib?,
        restarted_mib,
    })
}

async fn init(dir: &Path, letta: &str) -> anyhow::Result<()> {
    let mut command = Command::new(bridge());
    command
        .args(["init", "--backend", "rest", "--letta-url", letta, "--dir"])
        .arg(dir);
    run_to_end(command).await?;
    only_talk(dir)
}

/// Starts it, and waits until it says the words of `sign`.
async fn start(dir: &Path, log: &str, sign: &str) -> anyhow::Result<(Process, Duration)> {
    let mut command = Command::new(bridge());
    command
        .args(["run", "-c"])
        .arg(dir.join("config.yaml"))
        .current_dir(dir)
        .env("TUWUNEL_PORT", free_port()?.to_string());
    let log = dir.join(log);
    let began = Instant::now();
    let process = Process::start(command, &log)?;
    until_it_says(&log, sign).await?;
    Ok((process, began.elapsed()))
}

fn report(sizes: &[Size], idle: Duration) {
    let row = |name: &str, figure: &dyn Fn(&Size) -> String| {
        let cells: Vec<String> = sizes.iter().map(figure).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    row("agents", &|size| size.agents.to_string());
    println!("|---|{}", "---:|".repeat(sizes.len()));
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    row("first start, until all are set up", &|size| {
        seconds(size.first)
    });
    row("CPU of that", &|size| format!("{:.2} s", size.cpu));
    row("another start, until it is ready", &|size| {
        seconds(size.again)
    });
    row("CPU at rest", &|size| {
        let percent = 100.0 * size.idle_cpu / idle.as_secs_f64();
        format!("{percent:.2} % of one core")
    });
    row("RSS after the first start and a rest", &|size| {
        format!("{:.1} MiB", size.memory_mib)
    });
    row("RSS at most", &|size| {
        format!("{:.1} MiB", size.memory_most_mib)
    });
    row("RSS after another start", &|size| {
        format!("{:.1} MiB", size.restarted_mib)
    });
}
