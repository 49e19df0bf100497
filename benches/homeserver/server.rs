//! The two homeservers as processes: in a folder of their own, with the same application service, started and ended as an admin
//! does.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::process::Command;

use super::{
    figures::number,
    support::{Process, bridge, free_port, run_to_end},
};

/// The server name of all of them.
const DOMAIN: &str = "bench.test";
/// The registration of the application service, beside the data.
const REGISTRATIONS: &str = "appservices";
/// What Synapse takes as the sign to make a database, with all migrations.
const SYNAPSE_DATABASE: &str = "homeserver.db";

/// Which homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The one that the bridge brings along.
    Embedded,
    /// A real Synapse with `SQLite`.
    Synapse,
}

impl Kind {
    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Synapse => "Synapse",
        }
    }
}

/// A homeserver that may run.
pub(crate) struct Server {
    kind: Kind,
    dir: PathBuf,
    port: u16,
    /// Where it is.
    pub(crate) url: String,
    process: Option<Process>,
}

impl Server {
    /// An empty folder with a registration in it.
    pub(crate) async fn new(kind: Kind, dir: PathBuf, appservice: &str) -> anyhow::Result<Self> {
        let registrations = dir.join(REGISTRATIONS);
        std::fs::create_dir_all(&registrations)?;
        let registration = registrations.join("bench.yaml");
        super::appservice::write_registration(appservice, &registration)?;
        let port = free_port()?;
        if kind == Kind::Synapse {
            lay_out_synapse(&dir, port, &registration).await?;
        }
        Ok(Self {
            kind,
            dir,
            port,
            url: format!("http://127.0.0.1:{port}"),
            process: None,
        })
    }

    /// Starts it; gives how long it took until it answered.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Duration> {
        let command = match self.kind {
            Kind::Embedded => self.embedded(),
            Kind::Synapse => synapse(&self.dir),
        };
        let began = Instant::now();
        let mut process = Process::start(command, &self.dir.join("output.log"))?;
        let versions = format!("{}/_matrix/client/versions", self.url);
        process.wait_for_ok(&versions).await?;
        self.process = Some(process);
        Ok(began.elapsed())
    }

    /// Ends it, if it runs.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }

    /// The process.
    pub(crate) fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("it does not run")
    }

    /// What its data takes on disk, in MiB.
    pub(crate) fn disk_mib(&self) -> anyhow::Result<f64> {
        let kib = usize::try_from(bytes_in(&self.dir)? / 1024)?;
        Ok(number(kib) / 1024.0)
    }

    fn embedded(&self) -> Command {
        let mut command = Command::new(bridge());
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        let options = [
            format!("server_name={DOMAIN:?}"),
            format!("database_path={}", text(&self.dir.join("database"))),
            format!("appservice_dir={}", text(&self.dir.join(REGISTRATIONS))),
            "address=\"127.0.0.1\"".to_owned(),
            format!("port={}", self.port),
            "allow_registration=true".to_owned(),
            "yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse=true"
                .to_owned(),
            // The generators write faster than people.
            "rate_limits=false".to_owned(),
            // As in the Synapse beside it.
            "allow_local_presence=false".to_owned(),
        ];
        command.arg("homeserver");
        for option in options {
            command.args(["-O", &option]);
        }
        command
    }
}

/// Writes the configuration, without a database: the first start makes it.
async fn lay_out_synapse(dir: &Path, port: u16, registration: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(script());
    command
        .arg("new")
        .args([
            dir,
            DOMAIN.as_ref(),
            port.to_string().as_ref(),
            registration,
        ])
        .env("OPEN_REGISTRATION", "true");
    run_to_end(command).await?;
    Ok(std::fs::remove_file(dir.join(SYNAPSE_DATABASE))?)
}

/// The script becomes Synapse, so its pid is Synapse's.
fn synapse(dir: &Path) -> Command {
    let mut command = Command::new(script());
    command.arg("run").arg(dir);
    command
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/synapse.sh")
}

fn bytes_in(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            bytes_in(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
