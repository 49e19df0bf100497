//! `init`: from a few flags to the two files, and what to do with them.

use std::path::Path;

use indoc::formatdoc;
use ruma::owned_server_name;

use super::{
    ExitCode, Failure, HomeserverKind, InitArgs, Outcome, letta, print_out, steps, tokens,
};
use crate::{
    config::{Config, ConfigError, Environment, HomeserverMode, Level, Problem, http_url},
    registration::Registration,
};

/// Writes both files and says what comes next.
pub(super) async fn init(args: &InitArgs) -> Outcome {
    let environment = Environment::of_process();
    let mut config = prepare(args, &environment)?;
    let letta = letta::check_letta(&mut config, &environment).await?;
    let text = write(args, config)?;
    print_out(&format!("{letta}{text}"));
    Ok(())
}

/// The configuration as the flags and the environment want it. Nothing is written.
pub(super) fn prepare(args: &InitArgs, environment: &Environment) -> Result<Config, Failure> {
    let mut config = start_from(&args.dir.join("config.yaml"), args)?;
    if args.port.is_some() && !config.homeserver.is_embedded() {
        let why = "--port is for the embedded homeserver; for an external one, give --address with the port";
        return Err(Failure::new(ExitCode::Usage, why));
    }
    change(&mut config, args, environment);
    Ok(with_environment(&config, environment)?)
}

/// Writes both files. Gives what comes next.
pub(super) fn write(args: &InitArgs, mut config: Config) -> Result<String, Failure> {
    let path = args.dir.join("config.yaml");
    let registration_path = args.dir.join("registration.yaml");
    if config.homeserver.is_embedded() {
        refuse_incomplete(&config)?;
        tokens::write_config(&path, &config)?;
        return Ok(formatdoc! {"
            Wrote {config}. The bridge brings its own homeserver: nothing else is needed.

            matrix-appservice-letta run -c {config}

            It prints where to point a client, and how the first person registers.
            ",
            config = path.display(),
        });
    }
    tokens::fill(&mut config, &registration_path);
    refuse_incomplete(&config)?;
    let registration =
        Registration::new(&config).map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))?;
    tokens::write_config(&path, &config)?;
    tokens::write_registration(&registration_path, &registration)?;
    let steps = steps::steps(
        args.homeserver,
        &config.homeserver.domain,
        &registration_path,
        &registration,
    );
    Ok(formatdoc! {"
        Wrote {config} and {registration}.

        {steps}
        The homeserver will reach the bridge at {address}.
        If one of them runs in a container, set `appservice.address` and `appservice.hostname` in
        config.yaml and run this again.

        Then:

        matrix-appservice-letta doctor -c {config}
        matrix-appservice-letta run -c {config}
        ",
        config = path.display(),
        registration = registration_path.display(),
        address = http_url::text(&config.appservice.address),
    })
}

/// The configuration that is there, or the defaults for this homeserver.
fn start_from(path: &Path, args: &InitArgs) -> Result<Config, Failure> {
    if path.exists() {
        return Ok(Config::read(path, &Environment::default())?);
    }
    let mut config = Config::default();
    config.homeserver.mode = match args.homeserver {
        HomeserverKind::Embedded => HomeserverMode::Embedded,
        HomeserverKind::Synapse | HomeserverKind::Tuwunel | HomeserverKind::Other => {
            HomeserverMode::External
        }
    };
    if config.homeserver.is_embedded() {
        // Whoever brings no homeserver has no name for it either, and the only people there are their own.
        config.homeserver.domain = owned_server_name!("localhost");
        config.permissions.forget_examples();
        config
            .permissions
            .grant_server(config.homeserver.domain.clone(), Level::User);
    }
    if let Some(address) = http_url::parse(args.homeserver.usual_address()) {
        config.homeserver.address = address;
    }
    Ok(config)
}

fn change(config: &mut Config, args: &InitArgs, environment: &Environment) {
    if let Some(address) = &args.address {
        config.homeserver.address = address.clone();
    }
    if let Some(port) = args.port {
        let homeserver = &mut config.homeserver;
        homeserver.tuwunel.insert("port".to_owned(), port.into());
        // Only an address without a host has no port, and none is ever read.
        let _: Result<(), ()> = homeserver.address.set_port(Some(port));
    }
    if let Some(domain) = &args.domain {
        config.homeserver.domain.clone_from(domain);
    }
    if let Some(url) = args.letta_url.clone().or_else(|| environment.letta_url())
        && url != config.letta.url
    {
        config.letta.url = url;
        // What is there may be of another kind.
        config.letta.backend = None;
    }
    if args.backend.is_some() {
        config.letta.backend = args.backend;
    }
    if !args.admin.is_empty() {
        config.permissions.forget_examples();
    }
    for admin in &args.admin {
        config.permissions.grant(admin.clone(), Level::Admin);
    }
}

/// What the environment says is written too. An address that held the old port follows the port.
pub(super) fn with_environment(
    config: &Config,
    environment: &Environment,
) -> Result<Config, ConfigError> {
    let mut changed = config.with(&environment.for_file())?;
    let (old, new) = (&config.appservice, &mut changed.appservice);
    if old.address == new.address && old.address.port() == Some(old.port) {
        // Only an address without a host has no port, and none is ever read.
        let _: Result<(), ()> = new.address.set_port(Some(new.port));
    }
    Ok(changed)
}

/// A file that would refuse to start is not worth writing.
fn refuse_incomplete(config: &Config) -> Outcome {
    let mut problems = config.problems();
    for problem in &mut problems {
        let fix = match problem.key.as_str() {
            "homeserver.domain" => "give it with `--domain NAME`",
            "permissions" => "give yourself with `--admin @you:server`",
            _ => continue,
        };
        fix.clone_into(&mut problem.fix);
    }
    if problems.is_empty() {
        return Ok(());
    }
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    Err(Failure::new(
        ExitCode::ConfigInvalid,
        format_args!("nothing was written:\n{}", problems.join("\n")),
    ))
}
