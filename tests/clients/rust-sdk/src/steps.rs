//! Named steps: one line for each, and a summary.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

/// How long a step may take; long enough for a machine that compiles besides.
const STEP: Duration = Duration::from_secs(30);
/// How often a condition is looked at again.
const LOOK: Duration = Duration::from_millis(25);
/// How much of a failure's reason is printed.
const WHY_CHARS: usize = 300;

/// The steps of a run so far.
pub struct Steps {
    driver: &'static str,
    passed: usize,
    failed: Vec<String>,
}

impl Steps {
    pub fn new(driver: &'static str) -> Self {
        Self {
            driver,
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Runs one; gives what it returned, or `None` if it failed.
    pub async fn step<T>(&mut self, name: &str, run: impl Future<Output = Result<T>>) -> Option<T> {
        let done = tokio::time::timeout(STEP, run)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("nothing after {STEP:?}")));
        match done {
            Ok(got) => {
                self.passed += 1;
                println!("ok {name}");
                Some(got)
            }
            Err(error) => {
                let why = format!("{error:#}").replace('\n', " ");
                let why: String = why.chars().take(WHY_CHARS).collect();
                println!("not ok {name}: {why}");
                self.failed.push(name.to_owned());
                None
            }
        }
    }

    /// Prints the summary.
    pub fn finish(self) -> ExitCode {
        let Self {
            driver,
            passed,
            failed,
        } = self;
        println!(
            "{}",
            json!({"driver": driver, "passed": passed, "failed": failed})
        );
        if failed.is_empty() && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Waits until `look` gives something. The step's own limit ends the wait.
pub async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> Result<T> {
    loop {
        if let Some(got) = look().await {
            return Ok(got);
        }
        tokio::time::sleep(LOOK).await;
    }
}
