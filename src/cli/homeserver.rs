//! `homeserver`: the embedded homeserver alone, configured as Tuwunel is.

use homeserver::{Severity, Sources};

use super::{ExitCode, Failure, HomeserverArgs, Outcome, TuwunelArgs, logging};
use crate::{app, config::Logging};

/// Runs the homeserver until it is told to stop.
pub(super) async fn homeserver(args: &HomeserverArgs) -> Outcome {
    let (config, warnings) = load(&args.sources)?;
    logging::start(&Logging::default());
    for warning in warnings {
        match warning.severity {
            Severity::Loud => tracing::warn!("{warning}"),
            Severity::Quiet => tracing::info!("{warning}"),
        }
    }
    Ok(app::homeserver_alone(config, &args.run.execute).await?)
}

/// The configuration of a homeserver alone, and what is to be said about it.
pub(super) fn load(
    args: &TuwunelArgs,
) -> Result<(homeserver::Config, Vec<homeserver::Warning>), Failure> {
    let variables = std::env::vars_os();
    let env = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources {
        files: args.tuwunel_config.clone(),
        env: env.collect(),
        overrides: args.option.clone(),
        ..Sources::default()
    };
    homeserver::Config::load(&sources).map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))
}
