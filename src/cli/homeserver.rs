//! `homeserver`: the embedded homeserver alone, configured as Tuwunel is.

use std::{ffi::OsString, path::PathBuf};

use homeserver::{Severity, Sources};

use super::{ExitCode, Failure, HomeserverArgs, Outcome, TuwunelArgs, logging};
use crate::{app, config::Logging};

/// What names the configuration file, as Tuwunel, conduwuit and Conduit call it: the first one that has a value.
const CONFIG_VARIABLES: [&str; 3] = ["TUWUNEL_CONFIG", "CONDUWUIT_CONFIG", "CONDUIT_CONFIG"];

/// Runs the homeserver until it is told to stop.
pub(super) async fn homeserver(args: &HomeserverArgs) -> Outcome {
    let (config, warnings) = load(&args.sources)?;
    logging::start(&Logging::default());
    let sources = args.sources.clone();
    homeserver::provide_config_check(move || {
        let loaded = load(&sources).map_err(|failure| failure.to_string());
        loaded.map(drop)
    });
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
        files: config_files(args),
        env: env.collect(),
        overrides: args.option.clone(),
        ..Sources::default()
    };
    homeserver::Config::load(&sources).map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))
}

/// The files that are named by options, else by the variables that Tuwunel and what came before it know: the last one that says
/// something. A variable without a value is not set.
pub(super) fn config_files(args: &TuwunelArgs) -> Vec<PathBuf> {
    if !args.tuwunel_config.is_empty() {
        return args.tuwunel_config.clone();
    }
    named_by_variables(|name| std::env::var_os(name))
}

fn named_by_variables(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let values = CONFIG_VARIABLES.into_iter().filter_map(variable);
    let mut named = values.filter(|value| !value.is_empty());
    named.next().map(PathBuf::from).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_variable_without_value_is_unset() {
        for (variables, file) in [
            (&[("TUWUNEL_CONFIG", "")][..], None),
            (&[("TUWUNEL_CONFIG", "/t.toml")], Some("/t.toml")),
            (
                &[("TUWUNEL_CONFIG", ""), ("CONDUWUIT_CONFIG", "/cw.toml")],
                Some("/cw.toml"),
            ),
            (
                &[("CONDUIT_CONFIG", "/c.toml"), ("CONDUWUIT_CONFIG", "")],
                Some("/c.toml"),
            ),
            (
                &[("CONDUIT_CONFIG", "/c.toml"), ("TUWUNEL_CONFIG", "/t.toml")],
                Some("/t.toml"),
            ),
            (&[], None),
        ] {
            let value = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let expected: Vec<PathBuf> = file.map(PathBuf::from).into_iter().collect();
            assert_eq!(named_by_variables(value), expected, "{variables:?}");
        }
    }
}
