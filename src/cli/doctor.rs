//! `doctor`: looks for everything that could be wrong and says how to fix it.
//!
//! The wording of the answers about tokens is that of the mautrix bridges, because people search
//! for it.

use std::{fmt, path::Path};

use super::{ExitCode, Failure, Files, Outcome, print_out};
use crate::config::Config;

mod local;
mod remote;

pub(super) use remote::Token;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What was found: all is well, or what to do.
    pub outcome: Result<String, Advice>,
}

/// What is wrong, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

impl Advice {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(found) => write!(f, "ok    {}: {found}", self.name),
            Err(advice) => {
                write!(
                    f,
                    "FAIL  {}: {}\n      {}",
                    self.name, advice.what, advice.fix
                )
            }
        }
    }
}

/// Prints every check. The exit code is 1 if one failed.
pub(super) async fn doctor(files: &Files) -> Outcome {
    let mut failed = 0_usize;
    let mut tell = |check: &Check| {
        failed += usize::from(check.outcome.is_err());
        print_out(&format!("{check}\n"));
    };
    let config = match Config::load(files.config()) {
        Ok(config) => config,
        Err(error) => {
            let advice = Advice::new(error.to_string(), "fix this first, then run doctor again");
            tell(&Check {
                name: "configuration",
                outcome: Err(advice),
            });
            return Err(Failure::silent(ExitCode::Other));
        }
    };
    let found = format!("{} is complete", files.config().display());
    tell(&Check {
        name: "configuration",
        outcome: Ok(found),
    });
    for check in checks(&config, &files.registration()).await {
        tell(&check);
    }
    match failed {
        0 => {
            print_out("\nAll is well.\n");
            Ok(())
        }
        1 => Err(Failure::new(ExitCode::Other, "\nOne check failed.")),
        failed => Err(Failure::new(
            ExitCode::Other,
            format_args!("\n{failed} checks failed."),
        )),
    }
}

/// Looks at everything around a configuration that was loaded.
pub async fn checks(config: &Config, registration: &Path) -> Vec<Check> {
    #[cfg(feature = "embedded")]
    if config.homeserver.is_embedded() {
        return vec![
            local::embedded_homeserver(config).await,
            local::journal(config),
            remote::letta(config).await,
        ];
    }
    let mut checks = vec![
        local::registration(config, registration),
        local::journal(config),
    ];
    let (port, free) = local::port(config).await;
    checks.push(port);
    checks.push(remote::letta(config).await);
    checks.extend(remote::homeserver(config, free).await);
    checks
}

#[cfg(test)]
mod tests;
