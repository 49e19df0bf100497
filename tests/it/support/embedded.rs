//! The homeserver that the bridge brings along, alone in a process of its own: as other bridges and clients meet it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::process::{Process, free_port};
use super::synapse::DOMAIN;

const BINARY: &str = env!("CARGO_BIN_EXE_matrix-appservice-letta");
const READY: Duration = Duration::from_secs(30);
/// Another build of the program, to be compared with this one.
const OTHER_BINARY: &str = "LETTA_TEST_EXECUTABLE";

pub struct Embedded {
    dir: PathBuf,
    port: u16,
    token: Option<&'static str>,
    settings: &'static str,
    rate_limits: bool,
    descriptors: Option<u32>,
    process: Option<Process>,
}

fn program() -> PathBuf {
    std::env::var_os(OTHER_BINARY).map_or_else(|| BINARY.into(), PathBuf::from)
}

impl Embedded {
    /// Chooses the folder and the port; nothing runs yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            port: free_port(),
            token: None,
            settings: "",
            rate_limits: false,
            descriptors: None,
            process: None,
        }
    }

    /// Lets only those register who know `token`; without this, anybody may.
    #[must_use]
    pub fn with_registration_token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// Writes these lines into the configuration, too.
    #[must_use]
    pub fn with_settings(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }

    /// Starts it with this soft limit of open files, as systemd and Docker do with 1,024.
    #[must_use]
    pub fn with_descriptors(mut self, soft: u32) -> Self {
        self.descriptors = Some(soft);
        self
    }

    /// Whether users who write fast are asked to wait, from the next [`Self::lay_out`] and start on. Tests are not, unless they say so.
    pub fn limit_rates(&mut self, limited: bool) {
        self.rate_limits = limited;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes the configuration; `registration` is one more appservice, put where an admin puts it.
    pub fn lay_out(&self, registration: Option<&Path>) {
        let appservices = self.dir.join("appservices");
        std::fs::create_dir_all(&appservices).expect("the folder of the homeserver");
        if let Some(registration) = registration {
            std::fs::copy(registration, appservices.join("bridge.yaml")).expect("the registration");
        }
        let registration = match self.token {
            Some(token) => format!("registration_token = {token:?}"),
            None => {
                "yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse = true"
                    .to_owned()
            }
        };
        // What says nothing can be read by older versions, too.
        let rate_limits = if self.rate_limits {
            ""
        } else {
            "rate_limits = false\n"
        };
        let text = format!(
            "[global]\nserver_name = {DOMAIN:?}\naddress = \"127.0.0.1\"\nport = {}\ndatabase_path = \"{}\"\n\
             appservice_dir = \"{}\"\nallow_registration = true\n{registration}\n\
             new_user_displayname_suffix = \"\"\nallow_federation = false\nip_range_denylist = []\n\
             {rate_limits}{}\n",
            self.port,
            self.dir.join("database").display(),
            appservices.display(),
            self.settings,
        );
        std::fs::write(self.dir.join("tuwunel.toml"), text).expect("the configuration");
    }

    /// Runs another command of the program on this homeserver's configuration to its end.
    pub async fn command(&self, command: &str, arguments: &[&str]) -> std::process::Output {
        let running = Command::new(program())
            .arg(command)
            .arg("--tuwunel-config")
            .arg(self.dir.join("tuwunel.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(READY, running)
            .await
            .unwrap_or_else(|_| panic!("{command} {arguments:?} did not end within {READY:?}"))
            .expect("the program starts")
    }

    pub async fn start(&mut self) {
        assert!(self.process.is_none(), "this homeserver is running already");
        let mut command = match self.descriptors {
            Some(soft) => {
                let mut shell = Command::new("bash");
                let script = format!("ulimit -S -n {soft} && exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(program());
                shell
            }
            None => Command::new(program()),
        };
        command
            .arg("homeserver")
            .arg("--tuwunel-config")
            .arg(self.dir.join("tuwunel.toml"))
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null());
        let mut process = Process::spawn("the embedded homeserver", command, &self.log(), None);
        let url = format!("{}/_matrix/client/versions", self.url());
        process.wait_for_ok(&url, READY).await;
        self.process = Some(process);
    }

    /// Stops it as an admin does. Tells how it ended and how long that took.
    pub async fn stop(&mut self) -> Option<(ExitStatus, Duration)> {
        match self.process.take() {
            Some(process) => Some(process.terminate().await),
            None => None,
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
}
