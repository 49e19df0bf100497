//! A real Synapse on a free loopback port, which can be stopped, killed and started again on the same data.

use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::peers::{peers, python, root};
use super::process::{Process, free_port};

/// The server name in every user id of the tests.
pub const DOMAIN: &str = "letta.test";

const START: Duration = Duration::from_secs(90);

pub struct Synapse {
    dir: PathBuf,
    port: u16,
    token: &'static str,
    process: Option<Process>,
}

impl Synapse {
    /// Chooses the port; nothing runs yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            port: free_port(),
            token: "",
            process: None,
        }
    }

    /// Lets only those register who know `token`; without this, anybody may.
    #[must_use]
    pub fn with_registration_token(mut self, token: &'static str) -> Self {
        self.token = token;
        self
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes the configuration, with a database that went through all migrations already.
    pub fn lay_out(&self, registration: Option<&Path>) {
        let made = Blocking::new("bash")
            .arg(root().join("scripts/synapse.sh"))
            .args([
                "new".as_ref(),
                self.dir.as_os_str(),
                DOMAIN.as_ref(),
                self.port.to_string().as_ref(),
            ])
            .args(registration)
            .env("PEERS", peers())
            .env("OPEN_REGISTRATION", "true")
            .env("REGISTRATION_TOKEN", self.token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("bash is there");
        assert!(
            made.success(),
            "scripts/synapse.sh could not lay out a Synapse, see above"
        );
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        assert!(self.process.is_none(), "this Synapse is running already");
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/peers/synapse_main.py"))
            .arg("--config-path")
            .arg(self.dir.join("homeserver.yaml"))
            .env("ENDS_WITH_STDIN", "1")
            .stdin(Stdio::piped());
        let mut process = Process::spawn("Synapse", command, &self.output(), None);
        process
            .wait_for_ok(&format!("{}/health", self.url()), START)
            .await;
        self.process = Some(process);
    }

    /// Stops it as an admin does.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.terminate().await;
        }
    }

    /// `kill -9`.
    pub async fn kill9(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill9().await;
        }
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("homeserver.log")
    }

    fn output(&self) -> PathBuf {
        self.dir.join("output.log")
    }

    pub fn logs(&self) -> Vec<PathBuf> {
        vec![self.output(), self.log()]
    }
}
