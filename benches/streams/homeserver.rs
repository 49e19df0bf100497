//! The embedded homeserver in a process of its own, so that its time and memory are its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::support::{Process, bridge, free_port};

/// The server name.
pub(crate) const DOMAIN: &str = "bench.test";

pub(crate) struct Homeserver {
    pub(crate) url: String,
    port: u16,
    dir: PathBuf,
}

impl Homeserver {
    /// Chooses the port. Nothing runs yet.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            port,
            dir: dir.to_owned(),
        })
    }

    /// Starts it with the bridge of this registration.
    pub(crate) async fn start(&self, registration: &Path) -> anyhow::Result<Process> {
        let appservices = self.dir.join("appservices");
        fs::create_dir_all(&appservices)?;
        fs::copy(registration, appservices.join("bridge.yaml"))?;
        let text = format!(
            "[global]\nserver_name = \"{DOMAIN}\"\naddress = \"127.0.0.1\"\nport = {}\n\
             database_path = \"{}\"\nappservice_dir = \"{}\"\nallow_registration = true\n\
             yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse = true\n\
             rate_limits = false\n",
            self.port,
            self.dir.join("database").display(),
            appservices.display(),
        );
        let config = self.dir.join("tuwunel.toml");
        fs::write(&config, text)?;
        let mut command = Command::new(bridge());
        command
            .arg("homeserver")
            .arg("--tuwunel-config")
            .arg(config);
        let mut process = Process::start(command, &self.dir.join("homeserver.log"))?;
        process
            .wait_for_ok(&format!("{}/_matrix/client/versions", self.url))
            .await?;
        Ok(process)
    }
}
