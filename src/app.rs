//! The composition root: the only place where concrete parts meet.

use std::sync::Arc;

use letta_client::Backend;

use crate::config::Config;

/// Runs the bridge until it is told to stop.
#[expect(
    clippy::unused_async,
    reason = "the parts that are composed here are still to come"
)]
pub async fn run(_config: Config) -> anyhow::Result<()> {
    Ok(())
}

/// The way to Letta of this configuration; `None` if the bridge brings the agents along.
pub fn letta(_config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    Ok(None)
}
