//! `demo`: see the bridge work without Letta, on its own homeserver or on one that runs already.

use std::{path::Path, time::Duration};

use rand::{Rng, distr::Alphanumeric};
use ruma::UserId;
use tokio::time::Instant;
use url::Url;

use super::{
    DemoArgs, ExitCode, Failure, HomeserverKind, Outcome, doctor::Token, init, logging, print_out,
    probe::Homeserver, steps, tokens,
};
use crate::{
    app::{self, DemoUser},
    config::{BackendKind, Config, Environment, HomeserverMode, Level, private_file},
    registration::Registration,
};

/// How many characters the password of the demo has.
const PASSWORD_CHARS: usize = 14;

/// Between two looks whether the homeserver has taken the registration.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who has not installed the registration by then has gone away.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// The local part of the person whom the demo has ready.
const PERSON: &str = "you";

/// Writes what is missing, waits for the homeserver if it is not our own, and runs the bridge.
pub(super) async fn demo(args: &DemoArgs) -> Outcome {
    let environment = Environment::of_process();
    let path = args.data.join("config.yaml");
    let Some(homeserver) = &args.homeserver else {
        return Box::pin(embedded(args, &path, &environment)).await;
    };
    let registration_path = args.data.join("registration.yaml");
    let registration = write(args, homeserver, &path, &registration_path, &environment)?;
    let config = Config::load_with(&path, &environment)?;
    logging::start(&config.logging);
    print_out("This is a demo: its agents are scripted, they are no models.\n\n");
    wait_until_accepted(&config, &registration_path, &registration).await?;
    Ok(Box::pin(app::run(config, None, &[])).await?)
}

/// The demo on the homeserver that the bridge brings along, with somebody to log in as.
async fn embedded(args: &DemoArgs, path: &Path, environment: &Environment) -> Outcome {
    let user_id = UserId::parse(format!("@{PERSON}:{}", args.domain))
        .map_err(|error| Failure::new(ExitCode::Usage, format_args!("--domain: {error}")))?;
    let mut config = existing(path)?;
    config.letta.backend = Some(BackendKind::Demo);
    config.homeserver.mode = HomeserverMode::Embedded;
    config.homeserver.domain.clone_from(&args.domain);
    config
        .homeserver
        .tuwunel
        .insert("port".to_owned(), args.port.into());
    config.permissions.forget_examples();
    config.permissions.grant(
        args.admin.clone().unwrap_or_else(|| user_id.clone()),
        Level::Admin,
    );
    // Accounts are made by the admin only, so whoever has one was let in.
    config
        .permissions
        .grant_server(args.domain.clone(), Level::User);
    let config = init::with_environment(&config, environment)?;
    tokens::write_config(path, &config)?;
    let config = Config::load_with(path, environment)?;
    logging::start(&config.logging);
    // Made by the demo for itself alone, unlike a folder that another homeserver reads the registration from.
    system::private::tighten(&args.data).map_err(|error| {
        let why = format_args!("cannot make {} private: {error}", args.data.display());
        Failure::new(ExitCode::ConfigUnwritable, why)
    })?;
    if !args.json {
        print_out("This is a demo: its agents are scripted, they are no models.\n");
    }
    let password = password(&args.data.join("password"))?;
    let demo_user = DemoUser {
        user_id,
        password,
        json: args.json,
    };
    Ok(Box::pin(app::run(config, Some(demo_user), &[])).await?)
}

/// The password of the last time, or a new one.
fn password(path: &Path) -> Result<String, Failure> {
    if let Ok(password) = std::fs::read_to_string(path) {
        return Ok(password.trim().to_owned());
    }
    let password: String = rand::rng()
        .sample_iter(Alphanumeric)
        .take(PASSWORD_CHARS)
        .map(char::from)
        .collect();
    private_file::write(path, &password).map_err(|error| {
        Failure::new(
            ExitCode::ConfigUnwritable,
            format_args!("cannot write {}: {error}", path.display()),
        )
    })?;
    Ok(password)
}

fn existing(path: &Path) -> Result<Config, Failure> {
    if path.exists() {
        return Ok(Config::read(path, &Environment::default())?);
    }
    Ok(Config::default())
}

/// Brings the two files in step with the flags; everything else in them stays.
pub(super) fn write(
    args: &DemoArgs,
    homeserver: &Url,
    path: &Path,
    registration_path: &Path,
    environment: &Environment,
) -> Result<Registration, Failure> {
    let mut config = existing(path)?;
    config.letta.backend = Some(BackendKind::Demo);
    config.homeserver.mode = HomeserverMode::External;
    config.homeserver.address = homeserver.clone();
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
                print_out(if told {
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
                    print_out(&steps::steps(kind, domain, registration_path, registration));
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
        print_out(&news);
        last = why;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
