//! The bridge: the real binary, laid out by its own `init`, run, killed and run again.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::process::{Process, free_port, tail};
use super::synapse::DOMAIN;

const BINARY: &str = env!("CARGO_BIN_EXE_matrix-appservice-letta");
const READY: Duration = Duration::from_secs(30);

pub struct Bridge {
    dir: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Bridge {
    /// Chooses the folder and the port; nothing is written yet.
    pub fn new(dir: &Path) -> Self {
        let port = free_port();
        let bridge = Self {
            dir: dir.to_owned(),
            port,
            environment: Vec::new(),
            process: None,
        };
        bridge
            .with("APPSERVICE__PORT", &port.to_string())
            .with("APPSERVICE__HOSTNAME", "127.0.0.1")
            // Most tests go where they are invited.
            .with("ROOMS__INVITE", "rooms")
    }

    /// Overrides a key of the configuration: `LETTA__POLL_INTERVAL` is `letta.poll_interval`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// The same for a bridge that is there already; takes effect at its next start.
    pub fn set(&mut self, key: &str, value: &str) {
        let key = format!("BRIDGE_{key}");
        self.environment.retain(|(known, _)| *known != key);
        self.environment.push((key, value.to_owned()));
    }

    /// Has it trust this authority and no other, as an admin does who has one of their own.
    pub fn trust(&mut self, authority: &Path) {
        let authority = authority.to_str().expect("a path in UTF-8");
        let trusted = ("SSL_CERT_FILE".to_owned(), authority.to_owned());
        self.environment.push(trusted);
    }

    /// Where the bridge itself listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn registration(&self) -> PathBuf {
        self.dir.join("registration.yaml")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("bridge.log")
    }

    /// Writes `config.yaml` and `registration.yaml` the way an admin does.
    pub async fn init(&self, homeserver: &str, letta: &str, admin: &str) {
        let letta = ["--backend", "rest", "--letta-url", letta];
        self.init_with(homeserver, &letta, admin).await;
    }

    /// The same for any Letta. Gives what `init` said.
    pub async fn init_with(&self, homeserver: &str, letta: &[&str], admin: &str) -> String {
        std::fs::create_dir_all(&self.dir).expect("the folder of the bridge");
        let made = self
            .command()
            .args(["init", "--dir"])
            .arg(&self.dir)
            .args([
                "--homeserver",
                "synapse",
                "--address",
                homeserver,
                "--domain",
                DOMAIN,
            ])
            .args(letta)
            .args(["--admin", admin])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the binary starts");
        let said = [made.stdout, made.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat();
        assert!(made.status.success(), "init failed:\n{said}");
        assert!(
            self.registration().exists(),
            "init wrote no registration.yaml and said:\n{said}"
        );
        // Most tests count what agents say.
        self.edit_config(|config| config["rooms"]["greeting"] = "".into());
        said
    }

    /// Replaces the map of permissions, as an admin does with an editor.
    pub fn set_permissions(&self, permissions: &[(String, String)]) {
        let map = permissions
            .iter()
            .map(|(who, what)| (who.as_str().into(), what.as_str().into()));
        let map = serde_yaml::Value::Mapping(map.collect());
        self.edit_config(|config| config["permissions"] = map);
    }

    fn edit_config(&self, edit: impl FnOnce(&mut serde_yaml::Value)) {
        let path = self.dir.join("config.yaml");
        let text = std::fs::read_to_string(&path).expect("init wrote config.yaml");
        let mut config = serde_yaml::from_str(&text).expect("config.yaml is YAML");
        edit(&mut config);
        let text = serde_yaml::to_string(&config).expect("a map can be written");
        std::fs::write(&path, text).expect("config.yaml can be written");
    }

    /// Runs it, without waiting for anything.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "this bridge is running already");
        let mut command = self.command();
        command
            .args(["run", "-c"])
            .arg(self.dir.join("config.yaml"))
            .stdin(Stdio::null());
        self.process = Some(Process::spawn("the bridge", command, &self.log(), None));
    }

    /// Waits until the bridge itself says that it is ready.
    pub async fn wait_ready(&mut self) {
        let url = format!("{}/_matrix/mau/ready", self.url());
        self.process
            .as_mut()
            .expect("the bridge was started")
            .wait_for_ok(&url, READY)
            .await;
    }

    /// `kill -9`.
    pub async fn kill9(&mut self) {
        self.process
            .take()
            .expect("the bridge is running")
            .kill9()
            .await;
    }

    /// SIGTERM: how it ended and how long that took.
    pub async fn sigterm(&mut self) -> (ExitStatus, Duration) {
        self.process
            .take()
            .expect("the bridge is running")
            .terminate()
            .await
    }

    /// Kills what is left of it and runs it again, until it is ready.
    pub async fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill9().await;
        }
        self.start();
        self.wait_ready().await;
    }

    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.current_dir(&self.dir);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }
}
