//! `homeserver`: the embedded homeserver alone, configured as Tuwunel is.

use homeserver::config::{Severity, Sources};

use super::{ExitCode, Failure, HomeserverArgs, Outcome, logging};
use crate::{app, config::Logging};

/// Runs the homeserver until it is told to stop.
pub(super) async fn homeserver(args: &HomeserverArgs) -> Outcome {
    let sources = Sources {
        files: args.tuwunel_config.clone(),
        inline: None,
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        overrides: args.option.clone(),
    };
    let (config, warnings) = homeserver::Config::load(&sources)
        .map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))?;
    logging::start(&Logging::default());
    for warning in warnings {
        match warning.severity {
            Severity::Loud => tracing::warn!("{warning}"),
            Severity::Quiet => tracing::info!("{warning}"),
        }
    }
    Ok(app::homeserver(config, &args.execute).await?)
}
