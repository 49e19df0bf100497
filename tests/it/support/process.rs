//! A child process with a log file. Dropping it kills it by its own pid and waits until it is gone.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// How long a process may take to end after SIGTERM before the test gives up on it.
const GRACE: Duration = Duration::from_secs(40);

pub struct Process {
    name: &'static str,
    child: Child,
    pub log: PathBuf,
}

impl Process {
    /// Starts `command` with stderr (and stdout, unless it is piped already) appended to `log`.
    pub fn spawn(
        name: &'static str,
        mut command: Command,
        log: &Path,
        stdout: Option<Stdio>,
    ) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log file opens");
        let stdout =
            stdout.unwrap_or_else(|| file.try_clone().expect("a file can be cloned").into());
        for proxy in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(proxy);
        }
        let child = command
            .stdout(stdout)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name,
            child,
            log: log.to_owned(),
        }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// `kill -9`: no goodbye of any kind.
    pub async fn kill9(mut self) {
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
    }

    /// SIGTERM, then how it ended and how long it took.
    pub async fn terminate(mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        if let Some(pid) = self.child.id() {
            let pid = Pid::from_raw(i32::try_from(pid).expect("a pid is small"));
            kill(pid, Signal::SIGTERM).expect("an own child can be signalled");
        }
        let status = tokio::time::timeout(GRACE, self.child.wait())
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "{} did not end {GRACE:?} after SIGTERM\n{}",
                    self.name,
                    tail(&self.log, 40)
                )
            })
            .expect("an own child can be waited for");
        (status, asked.elapsed())
    }

    /// Waits until `url` answers 200. The end of the process ends the wait, too.
    pub async fn wait_for_ok(&mut self, url: &str, timeout: Duration) {
        let http = client();
        let started = Instant::now();
        loop {
            let answer = http.get(url).timeout(Duration::from_secs(5)).send().await;
            if answer
                .as_ref()
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("an own child can be asked") {
                panic!(
                    "{} ended while starting ({status})\n{}",
                    self.name,
                    tail(&self.log, 40)
                );
            }
            assert!(
                started.elapsed() < timeout,
                "{} is not ready after {timeout:?}: {url} said {answer:?}\n{}",
                self.name,
                tail(&self.log, 40)
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        for _ in 0..400 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An HTTP client that asks loopback directly, whatever proxy this machine has for the rest of the world.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("an HTTP client can be built")
}

/// A port nobody listens on. Taken below the range from which the system gives ports to outgoing connections, so that
/// it is still free when the child that gets it comes up, and comes up again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1200).expect("small") * 10;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The last `lines` lines of a log, with its path above.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    format!("--- {} ---\n{}\n", log.display(), last.join("\n"))
}
