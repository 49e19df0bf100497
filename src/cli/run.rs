//! `run`: the bridge itself.

use super::{ExitCode, Failure, Files, Outcome, RunArgs, logging};
use crate::{app, config::Config, registration::Registration};

/// Runs the bridge until it is told to stop.
pub(super) async fn run(files: &Files, args: &RunArgs) -> Outcome {
    let config = Config::load(files.config())?;
    if !args.execute.is_empty() && !config.homeserver.is_embedded() {
        return Err(Failure::new(
            ExitCode::Usage,
            "--execute is for the embedded homeserver, and this one is external: give its own program the command",
        ));
    }
    logging::start(&config.logging);
    // The bridge works without the file, the homeserver does not: a difference is worth a word.
    if !config.homeserver.is_embedded()
        && let Ok(registration) = Registration::read(&files.registration())
    {
        for difference in registration.differences(&config) {
            tracing::warn!(
                "{} does not fit the configuration: {difference}",
                files.registration().display()
            );
        }
    }
    Ok(Box::pin(app::run(config, None, &args.execute)).await?)
}
