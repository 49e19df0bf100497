//! `demo`: see the bridge work without Letta, on a homeserver that runs already.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    DemoArgs, ExitCode, Failure, HomeserverKind, Outcome, doctor::Token, init, logging,
    probe::Homeserver, say, steps, tokens,
};
use crate::{
    app,
    config::{BackendKind, Config, Environment, Level},
    registration::Registration,
};

/// Between two looks whether the homeserver has taken the registration.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who has not installed the registration by then has gone away.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// Writes what is missing, waits for the homeserver, and runs the bridge.
pub(super) async fn demo(args: &DemoArgs) -> Outcome {
    let environment = Environment::of_process();
    let path = args.data.join("config.yaml");
    let registration_path = args.data.join("registration.yaml");
    let registration = write(args, &path, &registration_path, &environment)?;
    let config = Config::load_with(&path, &environment)?;
    logging::start(&config.logging);
    say("This is a demo: its agents are scripted, they are no models.\n\n");
    wait_until_accepted(&config, &registration_path, &registration).await?;
    Ok(app::run(config).await?)
}

/// Brings the two files in step with the flags; everything else in them stays.
pub(super) fn write(
    args: &DemoArgs,
    path: &Path,
    registration_path: &Path,
    environment: &Environment,
) -> Result<Registration, Failure> {
    let mut config = if path.exists() {
        Config::read(path, &Environment::default())?
    } else {
        Config::default()
    };
    config.letta.backend = BackendKind::Demo;
    config.homeserver.address = args.homeserver.clone();
    config.homeserver.domain.clone_from(&args.domain);
    config.permissions.forget_examples();
    match &args.admin {
        Some(admin) => config.permissions.grant(admin.clone(), Level::Admin),
        None => config
            .permissions
            .grant_server(args.domain.clone(), Level::User),
    }
    let mut config = init::with_environment(&config, environment)?;
    tokens::fill(&mut config, registration_path);
    let registration =
        Registration::new(&config).map_err(|error| Failure::new(ExitCode::ConfigInvalid, error))?;
    tokens::write_config(path, &config)?;
    tokens::write_registration(registration_path, &registration)?;
    Ok(registration)
}

async fn wait_until_accepted(
    config: &Config,
    registration_path: &Path,
    registration: &Registration,
) -> Outcome {
    let failure = |why: String| Failure::new(ExitCode::AsToken, why);
    let homeserver = Homeserver::new(config).map_err(failure)?;
    let since = Instant::now();
    let (mut told, mut last) = (false, String::new());
    loop {
        let why = match Token::ask(&homeserver).await {
            Token::Accepted(_) => {
                say(if told {
                    "\nThe homeserver has taken the registration.\n"
                } else {
                    ""
                });
                return Ok(());
            }
            Token::Refused(answer) => {
                if !told {
                    told = true;
                    let name = homeserver.software().await.unwrap_or_default();
                    let kind = HomeserverKind::from_name(&name);
                    let domain = &config.homeserver.domain;
                    say(&steps::steps(kind, domain, registration_path, registration));
                }
                format!("waiting for the homeserver to take the registration ({answer})")
            }
            Token::Unreachable(why) => {
                format!(
                    "waiting for the homeserver at {} ({why})",
                    homeserver.address()
                )
            }
        };
        if since.elapsed() > WAIT_MAX {
            return Err(failure(format!("gave up {why}")));
        }
        let news = if why == last {
            ".".to_owned()
        } else {
            format!("\n{why} ")
        };
        say(&news);
        last = why;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
