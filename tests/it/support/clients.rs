//! The drivers of `tests/clients`: real Matrix clients in processes of their own, and the proxy that checks every answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::peers::{peers, root};
use super::process::{Process, client, free_port};

/// How long installing a client may take; the Rust SDK is compiled.
const INSTALL: Duration = Duration::from_mins(45);
/// How long a driver may take for all its steps, on a machine that does a lot besides.
const RUN: Duration = Duration::from_mins(5);
const PROXY_START: Duration = Duration::from_secs(30);

/// What a driver says in its last line.
#[derive(Debug, Deserialize)]
struct Summary {
    passed: usize,
    failed: Vec<String>,
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(root().join("scripts/clients.sh"))
        .args(arguments)
        .env("PEERS", peers())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Makes sure that a client is on this machine; the first time takes a while.
pub async fn install(client: &str) {
    let mut command = script(&["install", client]);
    let done = tokio::time::timeout(INSTALL, command.status()).await;
    let status = done
        .unwrap_or_else(|_| panic!("{client} is not installed after {INSTALL:?}"))
        .expect("bash is there");
    assert!(
        status.success(),
        "{client} could not be installed, see above"
    );
}

/// Runs a driver and fails unless each of its steps passed, and at least `steps` of them were there.
pub async fn prove(steps: usize, arguments: &[&str]) {
    let mut command = script(arguments);
    let output = tokio::time::timeout(RUN, command.output())
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} did not end within {RUN:?}"))
        .expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let page = || format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let summary: Summary = said
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{arguments:?} said no summary:\n{}", page()));
    assert!(
        output.status.success() && summary.failed.is_empty(),
        "{arguments:?} ({}):\n{}",
        output.status,
        page()
    );
    assert!(
        summary.passed >= steps,
        "{arguments:?} has {} steps and had {steps}:\n{said}",
        summary.passed
    );
}

/// What the proxy saw so far.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Answers that were held against the specification.
    pub checked: usize,
    /// Operations with a status.
    pub operations: usize,
    /// What is not as the specification says, with an example.
    pub violations: BTreeMap<String, String>,
    /// How often each operation was asked.
    pub asked: BTreeMap<String, usize>,
    /// Paths that the specification does not have, with how often they were asked.
    pub unspecified: BTreeMap<String, usize>,
}

impl Report {
    /// How often paths that end so were asked, specified or not.
    pub fn times_asked(&self, end: &str) -> usize {
        let all = self.asked.iter().chain(&self.unspecified);
        all.filter(|(path, _)| path.ends_with(end))
            .map(|(_, times)| times)
            .sum()
    }
}

/// A proxy in front of a homeserver that holds every answer against the specification.
pub struct Shapes {
    url: String,
    pub log: PathBuf,
    _process: Process,
}

impl Shapes {
    /// Puts one before `upstream`, whose violations under the name `known` are known.
    pub async fn before(upstream: &str, known: &str, dir: &Path) -> Self {
        let port = free_port().to_string();
        let command = script(&["shapes", &port, upstream, "--known", known]);
        let log = dir.join("shapes.log");
        let mut process = Process::spawn("the shape proxy", command, &log, None);
        let url = format!("http://127.0.0.1:{port}");
        process
            .wait_for_ok(&format!("{url}/__report"), PROXY_START)
            .await;
        Self {
            url,
            log,
            _process: process,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn report(&self) -> Report {
        let answer = client()
            .get(format!("{}/__report", self.url))
            .send()
            .await
            .expect("the proxy answers");
        answer.json().await.expect("a report")
    }
}
