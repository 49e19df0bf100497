//! `registration` and `-g`: the file for the homeserver.

use super::{ExitCode, Failure, Files, Outcome, RegistrationArgs, print_out, steps, tokens};
use crate::{
    config::{Config, Environment},
    registration::Registration,
};

/// The domain of examples.
const EXAMPLE_DOMAIN: &str = "example.com";

/// `-g`, as mautrix bridges do it: new tokens into both files.
pub(super) fn generate(files: &Files) -> Outcome {
    let args = RegistrationArgs {
        rotate_tokens: true,
        print: false,
        homeserver: None,
        conduit: false,
    };
    registration(files, &args)
}

/// Writes or prints the registration that fits the configuration.
pub(super) fn registration(files: &Files, args: &RegistrationArgs) -> Outcome {
    print_out(&write(files, args, &Environment::of_process())?);
    Ok(())
}

pub(super) fn write(
    files: &Files,
    args: &RegistrationArgs,
    environment: &Environment,
) -> Result<String, Failure> {
    let mut config = Config::read(files.config(), environment)?;
    if config.homeserver.domain == EXAMPLE_DOMAIN {
        return Err(Failure::new(
            ExitCode::ExampleDomain,
            "`homeserver.domain` is still the example; set it to the name of your server first",
        ));
    }
    let written = Config::read(files.config(), &Environment::default())?;
    let elsewhere = !same_tokens(&config, &written);
    let path = files.registration();
    match (args.rotate_tokens, elsewhere) {
        (true, true) => {
            return Err(Failure::new(
                ExitCode::ConfigInvalid,
                "the tokens come from the environment; change them there",
            ));
        }
        (true, false) => tokens::rotate(&mut config),
        (false, _) => tokens::fill(&mut config, &path),
    }
    let registration =
        Registration::new(&config).map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))?;
    let registration = if args.conduit {
        registration.for_conduit()
    } else {
        registration
    };
    if !elsewhere && !same_tokens(&config, &written) {
        tokens::write_tokens(files.config(), &config)?;
    }
    if args.print {
        return Ok(registration.to_yaml());
    }
    tokens::write_registration(&path, &registration)?;
    let steps = args
        .homeserver
        .map(|kind| steps::steps(kind, &config.homeserver.domain, &path, &registration));
    let next = steps.unwrap_or_else(|| {
        "The homeserver must read it again. `--homeserver synapse` or `tuwunel` prints how.\n"
            .to_owned()
    });
    Ok(format!("Wrote {}.\n\n{next}", path.display()))
}

fn same_tokens(one: &Config, other: &Config) -> bool {
    one.appservice.as_token == other.appservice.as_token
        && one.appservice.hs_token == other.appservice.hs_token
}
