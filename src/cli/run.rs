//! `run`: the bridge itself.

use super::{Files, Outcome, logging};
use crate::{app, config::Config, registration::Registration};

/// Runs the bridge until it is told to stop.
pub(super) async fn run(files: &Files) -> Outcome {
    let config = Config::load(files.config())?;
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
    Ok(app::run(config, None).await?)
}
