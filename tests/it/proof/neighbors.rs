//! Whoever floods the homeserver does not hold up its other users: how long an innocent user waits beside each kind of flood is
//! printed beside how long they wait when nobody else is there.
//!
//! Timed figures depend on the machine, so only `make proof` judges them (`LETTA_PROOF_PROBES`, at full size). At any size, every
//! request of the innocent user is answered, and rightly, and every flood makes its rounds. Floods and the innocent user are under
//! the limits that the homeserver has by default: they are its answer to floods.
//!
//! `LETTA_TEST_EXECUTABLE` asks another build of the program instead, `LETTA_PROOF_FLOOD` runs only the floods whose names it is in.

use std::sync::Arc;
use std::time::Duration;

use self::flood::{Counts, Flood, Round, Running};
use self::probe::{Figures, Innocent, KINDS};
use self::stage::Stage;
use super::account::Account;
use super::room_of;
use crate::support::embedded::Embedded;

mod flood;
mod floods;
mod probe;
mod stage;

/// How often the innocent user asks unless `LETTA_PROOF_PROBES` says otherwise.
const PROBES: usize = 3;
/// In how many rooms the account is that syncs, unless `LETTA_PROOF_ROOMS` says otherwise.
const ROOMS: usize = 10;
/// How many rounds each task of a flood makes at least.
const ROUNDS_MIN: usize = 2;
/// By how much the innocent user may be slower, at the 50th and the 99th percentile.
const SLOWER_MAX: u32 = 10;
/// What counts as no wait at all: a busy machine takes as long to wake a thread.
const NO_WAIT: Duration = Duration::from_millis(5);
/// The soft limit of open files that services are started with.
const DESCRIPTORS: u32 = 1_024;
/// Previews of everything, so that there can be a flood of them.
const SETTINGS: &str = "url_preview_domain_explicit_allowlist = [\"*\"]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn innocent_user_is_served_beside_every_flood() {
    let full = std::env::var_os("LETTA_PROOF_PROBES").is_some();
    let probes = super::size("LETTA_PROOF_PROBES", PROBES);
    let rooms = super::size("LETTA_PROOF_ROOMS", ROOMS);
    let only = std::env::var("LETTA_PROOF_FLOOD").unwrap_or_default();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server"))
        .with_settings(SETTINGS)
        .with_descriptors(DESCRIPTORS);
    server.lay_out(None);
    server.start().await;
    let url = server.url();
    // The first account is an admin's, which has no limits.
    Account::register(&url, "admin").await;
    let account = Account::register(&url, "innocent").await;
    let innocent = Innocent::new(&url, &account, &room_of(&[&account]).await);
    let stage = Arc::new(Stage::new(&url, server.port(), full, rooms, &account).await);
    let mut floods = Vec::new();
    for flood in floods::ALL
        .iter()
        .filter(|flood| flood.name.contains(&only))
    {
        floods.push((flood, (flood.prepare)(stage.clone()).await));
    }
    server.stop().await;
    server.limit_rates(true);
    server.lay_out(None);
    server.start().await;

    let mut problems = Vec::new();
    println!("| flood | asked | idle p50 | p99 | beside p50 | p99 | ratio p50 | p99 |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (flood, round) in &floods {
        if full {
            // Nothing of the flood before is left: neither counters of limits nor work.
            server.kill9().await;
            server.start().await;
        }
        let name = flood.name;
        let idle = innocent.probe(probes, full, format!("{name}-idle")).await;
        let (beside, counts) = run(&innocent, &stage, flood, round, probes).await;
        report(name, &idle, &beside, counts);
        problems.extend(judge(name, &idle, &beside, full));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn run(
    innocent: &Innocent,
    stage: &Stage,
    flood: &Flood,
    round: &Round,
    probes: usize,
) -> (Figures, Counts) {
    let tasks = stage.size(flood.tasks.0, flood.tasks.1);
    let running = Running::start(round, tasks).await;
    let when = format!("{}-beside", flood.name);
    let beside = innocent.probe(probes, stage.full, when).await;
    if !stage.full {
        running.reach(ROUNDS_MIN * tasks).await;
    }
    (beside, running.stop().await)
}

/// Prints one row for each kind of request.
fn report(name: &str, idle: &Figures, beside: &Figures, counts: Counts) {
    for (kind, asked) in KINDS.iter().enumerate() {
        let (Some(idle), Some(beside)) = (idle.percentiles(kind), beside.percentiles(kind)) else {
            println!("| {name} | {asked} | - | - | - | - | - | - |");
            continue;
        };
        let [ms, ratio] = [
            [idle[0], idle[1], beside[0], beside[1]].map(|wait| wait.as_secs_f64() * 1_000.0),
            [0, 1, 0, 1].map(|at: usize| beside[at].as_secs_f64() / idle[at].as_secs_f64()),
        ];
        println!(
            "| {name} | {asked} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} | {:.1} |",
            ms[0], ms[1], ms[2], ms[3], ratio[0], ratio[1]
        );
    }
    let (wrong, asked) = (beside.wrong.len(), beside.asked());
    let Counts {
        done,
        refused,
        failed,
        unanswered,
    } = counts;
    println!(
        "  {name}: {done} rounds done, {refused} refused, {failed} failed, {unanswered} without an answer"
    );
    println!("  innocent: {wrong} of {asked} answers wrong");
}

/// What was not as it has to be.
fn judge(name: &str, idle: &Figures, beside: &Figures, timed: bool) -> Vec<String> {
    let wrong = idle.wrong.iter().chain(&beside.wrong);
    let mut problems: Vec<_> = wrong.map(|wrong| format!("{name}: {wrong}")).collect();
    problems.truncate(5);
    for (kind, asked) in KINDS.iter().enumerate().filter(|_| timed) {
        let (Some(idle), Some(beside)) = (idle.percentiles(kind), beside.percentiles(kind)) else {
            problems.push(format!("{name}: no figures of {asked}"));
            continue;
        };
        for (at, percentile) in ["p50", "p99"].iter().enumerate() {
            let most = idle[at].max(NO_WAIT) * SLOWER_MAX;
            if beside[at] > most {
                let took = beside[at];
                problems.push(format!(
                    "{name}: {asked} {percentile} {took:?}, not within {most:?}"
                ));
            }
        }
    }
    problems
}
