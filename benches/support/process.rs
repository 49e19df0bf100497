//! The bridge and its peers as processes of their own: started, looked at from outside, ended by
//! their own pid.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// Names another build of the bridge, to measure it in place of this one.
const OTHER_BRIDGE: &str = "BENCH_BRIDGE";

/// The release binary that cargo has built for this bench.
pub(crate) fn bridge() -> OsString {
    let built = env!("CARGO_BIN_EXE_matrix-appservice-letta");
    std::env::var_os(OTHER_BRIDGE).unwrap_or_else(|| built.into())
}

/// How long a process may take until it answers, and until it has ended.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is asked whether it answers: times to start are this exact.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Linux counts CPU time in hundredths of a second, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = fs::File::create(log)?;
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until `url` answers with success.
    pub(crate) async fn wait_for_ok(&mut self, url: &str) -> anyhow::Result<()> {
        let http = client()?;
        let looking = async {
            loop {
                if let Ok(answer) = http.get(url).send().await
                    && answer.status().is_success()
                {
                    return Ok(());
                }
                if let Some(status) = self.child.try_wait()? {
                    bail!("it has ended ({status})");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking)
            .await
            .context("it did not come up in time")
            .flatten()
            .with_context(|| format!("{url}; see {}", self.log.display()))
    }

    /// SIGTERM, and until it has ended.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("it does not end")??;
        Ok(())
    }

    /// CPU time so far, in seconds: all threads, user and system.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc_file("stat")?;
        // The second field is the name in parentheses, which may hold anything.
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        let ticks = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// A memory figure of `/proc/PID/status` in MiB: `VmRSS` is now, `VmHWM` the most so far.
    pub(crate) fn memory_mib(&self, figure: &str) -> anyhow::Result<f64> {
        let status = self.proc_file("status")?;
        let line = status
            .lines()
            .find(|line| line.starts_with(figure))
            .with_context(|| format!("no {figure}"))?;
        let kib = line.split_whitespace().nth(1).context("no figure")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let pid = self.child.id().context("it has ended")?;
        Ok(fs::read_to_string(format!("/proc/{pid}/{name}"))?)
    }
}

/// Has the bridge write its two files, as an admin does.
pub(crate) async fn init_bridge(
    dir: &Path,
    homeserver: &str,
    domain: &str,
    letta: &str,
) -> anyhow::Result<()> {
    let mut command = Command::new(bridge());
    command
        .args(["init", "--homeserver", "synapse", "--backend", "rest"])
        .args(["--address", homeserver, "--domain", domain])
        .args(["--letta-url", letta, "--admin", &format!("@admin:{domain}")])
        .arg("--dir")
        .arg(dir);
    run_to_end(command).await?;
    only_talk(dir)
}

/// Has the bridge invite people to every room, and neither greet nor draw there: what is measured is how agents come and answer.
pub(crate) fn only_talk(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join("config.yaml");
    let text = fs::read_to_string(&path)?;
    let lines = text.lines().map(|line| match line.trim().split_once(':') {
        Some(("greeting", _)) => "  greeting: ''",
        Some(("invite", _)) => "  invite: rooms",
        Some(("avatars", _)) => "  avatars: false",
        _ => line,
    });
    let lines: Vec<_> = lines.collect();
    Ok(fs::write(&path, lines.join("\n") + "\n")?)
}

/// Runs what comes to an end by itself. The error has what it said.
pub(crate) async fn run_to_end(mut command: Command) -> anyhow::Result<()> {
    let said = command.output().await?;
    if !said.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
    Ok(())
}

/// A command that runs the bridge in `dir`, listening on `port`.
pub(crate) fn run_bridge(dir: &Path, port: u16) -> Command {
    let mut command = Command::new(bridge());
    command
        .args(["run", "-c"])
        .arg(dir.join("config.yaml"))
        .env("BRIDGE_APPSERVICE__HOSTNAME", "127.0.0.1")
        .env("BRIDGE_APPSERVICE__PORT", port.to_string());
    command
}

/// A secret that `init` has written into the bridge's registration.
pub(crate) fn token(dir: &Path, name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(dir.join("registration.yaml"))?;
    let registration: serde_yaml::Mapping = serde_yaml::from_str(&text)?;
    let token = registration.get(name).and_then(serde_yaml::Value::as_str);
    token.map(str::to_owned).context("no token")
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// A client that asks this machine directly, whatever proxy there is for the rest of the world.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // The first one in the process wins; a second one is the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
