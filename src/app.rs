//! The composition root: the only place where concrete parts meet.

use crate::config::Config;

/// Runs the bridge until it is told to stop.
#[expect(clippy::unused_async, reason = "the parts that are composed here are still to come")]
pub async fn run(_config: Config) -> anyhow::Result<()> {
    Ok(())
}
