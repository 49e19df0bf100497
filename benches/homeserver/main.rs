//! The embedded homeserver beside Synapse: `cargo bench --bench homeserver`, some five minutes, most of them Synapse's.
//!
//! Both are real processes on empty folders: the release binary's `homeserver` command, and Synapse from `scripts/synapse.sh`.
//! Both get the same requests over loopback from the same bare client, in the same run; starts and single messages alternate
//! between them. The ratios are what holds on other machines.
//!
//! `-- --only embedded --grow 10` measures the embedded homeserver alone, and once more with ten times the rooms and events.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]

mod appservice;
mod arrivals;
mod figures;
#[path = "../support/listen.rs"]
mod listen;
#[path = "../support/measure.rs"]
mod measure;
mod person;
mod server;
mod side;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other benches use the rest of it")]
mod support;
mod work;

use std::path::PathBuf;

use clap::Parser;

use self::{measure::fsync, server::Kind, side::Side};

/// How many single messages go to one homeserver before the other one has its turn.
const BLOCK: usize = 25;
/// Messages that are not counted.
const WARM_UP: usize = 10;

/// How much is measured.
#[derive(Clone, Debug, Parser)]
struct Flags {
    /// Cold and warm starts of each.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Events that many senders send.
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Rooms of the one account that logs in.
    #[arg(long, default_value_t = 1_000)]
    rooms: usize,
    /// Single messages each way.
    #[arg(long, default_value_t = 500)]
    messages: usize,
    /// Only this one.
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Measures the embedded homeserver once more with so many times the rooms and events.
    #[arg(long)]
    grow: Option<usize>,
    /// Where the data lies. On a file system in memory, like `/dev/shm`, nobody waits for a disk that others use, too.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// Cargo says so to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let dir = tempfile::tempdir_in(&flags.dir)?;
    let mut sides = sides(&flags);
    println!("load before: {}", load()?);
    for _ in 0..flags.starts {
        for side in &mut sides {
            side.start_from_nothing(dir.path()).await?;
        }
    }
    for side in &mut sides {
        side.idle().await?;
        side.fill().await?;
    }
    let mut ways = Vec::new();
    for side in &sides {
        ways.push(side.open_ways().await?);
    }
    for (side, ways) in sides.iter().zip(&mut ways) {
        side.send(ways, "warm-up", WARM_UP).await?;
        ways.forget();
    }
    for block in 0..flags.messages.div_ceil(BLOCK) {
        for (side, ways) in sides.iter().zip(&mut ways) {
            side.send(ways, &format!("block-{block}"), BLOCK).await?;
        }
    }
    let mut columns = Vec::new();
    for (side, ways) in sides.into_iter().zip(&ways) {
        columns.push(side.end(ways).await?);
    }
    println!("load after: {}", load()?);
    println!("fsync of 4 KiB there: {}\n", fsync(dir.path())?);
    figures::print(&columns);
    Ok(())
}

/// Which homeservers are measured, and with how much.
fn sides(flags: &Flags) -> Vec<Side> {
    let wanted = |kind: &Kind| flags.only.is_none_or(|only| only == *kind);
    let both = [Kind::Embedded, Kind::Synapse].into_iter().filter(wanted);
    let mut sides: Vec<Side> = both
        .map(|kind| Side::new(kind, 1, flags.events, flags.rooms))
        .collect();
    if let Some(times) = flags.grow {
        let (events, rooms) = (flags.events * times, flags.rooms * times);
        sides.push(Side::new(Kind::Embedded, times, events, rooms));
    }
    sides
}

/// How many processes wanted a core in the last minute: other work makes every figure larger.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
