//! A fresh Synapse with a registration, told to log each request that it has answered.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tokio::process::Command;

use crate::support::{Process, free_port, run_to_end};

/// The server name of all of them.
pub(crate) const DOMAIN: &str = "scale.test";

/// The logger that says one line per answered request.
const ACCESS_LOG: &str = "loggers: {synapse.access: {level: INFO}}\n";

/// A Synapse that may run.
pub(crate) struct Synapse {
    dir: PathBuf,
    /// Where it is.
    pub(crate) url: String,
    port: u16,
}

impl Synapse {
    /// Chooses where it will be. Nothing is written yet.
    pub(crate) fn new(dir: PathBuf) -> anyhow::Result<Self> {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { dir, url, port })
    }

    /// Writes its configuration and runs it, with one person on it.
    pub(crate) async fn start(&self, registration: &Path) -> anyhow::Result<Process> {
        let port = self.port.to_string();
        self.script("new", &[DOMAIN.as_ref(), port.as_ref(), registration])
            .await?;
        let log = self.dir.join("log.yaml");
        let text = std::fs::read_to_string(&log)? + ACCESS_LOG;
        std::fs::write(&log, text)?;
        // The script becomes Synapse, so its pid is Synapse's.
        let mut command = Command::new(script());
        command.arg("run").arg(&self.dir);
        let mut process = Process::start(command, &self.dir.join("output.log"))?;
        process.wait_for_ok(&format!("{}/health", self.url)).await?;
        self.script("user", &["admin".as_ref(), "a long password".as_ref()])
            .await?;
        Ok(process)
    }

    /// How many requests it has answered so far, by kind.
    pub(crate) fn requests(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let log = std::fs::read_to_string(self.dir.join("homeserver.log"))?;
        let mut kinds = BTreeMap::new();
        for line in log
            .lines()
            .filter(|line| line.contains("Processed request"))
        {
            *kinds.entry(kind(line).context("a request")?).or_default() += 1;
        }
        Ok(kinds)
    }

    async fn script(&self, what: &str, arguments: &[&Path]) -> anyhow::Result<()> {
        let mut command = Command::new(script());
        command.arg(what).arg(&self.dir).args(arguments);
        run_to_end(command).await
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/synapse.sh")
}

/// `PUT /_matrix/client/v3/profile/@a:b/displayname?… HTTP/1.1` as `PUT profile displayname`.
fn kind(line: &str) -> Option<String> {
    let request = line.split('"').nth(1)?;
    let mut words = request.split([' ', '?']);
    let (method, path) = (words.next()?, words.next()?);
    let names = path.split('/').filter(|part| {
        let plain = |c: char| c.is_ascii_alphabetic() || c == '.' || c == '_';
        !part.is_empty() && part.chars().all(plain) && *part != "_matrix" && *part != "client"
    });
    let names: Vec<&str> = names.collect();
    Some(format!("{method} {}", names.join(" ")))
}
