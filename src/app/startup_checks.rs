//! The start-up checks, until they pass or show something that only a person can mend.

use std::time::Duration;

use ruma::UserId;
use tracing::warn;

use crate::{
    appservice::Pings,
    cli::{ExitCode, Failure},
    config::Config,
    matrix::{Actor, Homeserver, StartupError},
    time::Millis,
};

/// The wait before a homeserver that is not there yet is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often the homeserver is asked to reach us before that counts as failed.
const PINGS_MAX: u32 = 3;

/// Waits for the homeserver, then makes sure that both know and reach each other.
pub(super) async fn homeserver(
    homeserver: &Homeserver,
    config: &Config,
    bot: &UserId,
    pings: &Pings,
) -> Result<(), Failure> {
    let mut told = false;
    loop {
        match check(homeserver, config, bot, pings).await {
            Ok(()) => return Ok(()),
            Err(failure) if failure.is_transient() => {
                if !told {
                    let error = &failure as &dyn std::error::Error;
                    warn!(error, "waiting for the homeserver");
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(failure) => return Err(Failure::new(exit_code(&failure), chain(&failure))),
        }
    }
}

async fn check(
    homeserver: &Homeserver,
    config: &Config,
    bot: &UserId,
    pings: &Pings,
) -> Result<(), StartupError> {
    homeserver.check_versions().await?;
    homeserver.ensure_bot_registered(bot).await?;
    let displayname = &config.appservice.bot.displayname;
    let named = homeserver
        .set_display_name(Actor::Bot, bot, displayname)
        .await;
    named.map_err(|source| StartupError::Other {
        what: "name the bot",
        source,
    })?;
    if let Some(avatar) = &config.appservice.bot.avatar {
        let set = homeserver.set_avatar(Actor::Bot, bot, avatar).await;
        set.map_err(|source| StartupError::Other {
            what: "give the bot its avatar",
            source,
        })?;
    }
    ping(homeserver, &config.appservice.id, pings).await
}

/// Lets the homeserver call us, and makes sure that it was us it called.
async fn ping(
    homeserver: &Homeserver,
    appservice_id: &str,
    pings: &Pings,
) -> Result<(), StartupError> {
    let mut attempt = 1;
    loop {
        let transaction = format!("start-{}-{attempt}", Millis::now().0);
        match homeserver.check_ping(appservice_id, &transaction).await {
            Ok(Some(_)) if !pings.has_received(&transaction) => {
                let code = "somebody else answered at that address".to_owned();
                return Err(StartupError::NotReachable { code });
            }
            Ok(_) => return Ok(()),
            Err(failure @ StartupError::NotReachable { .. }) if attempt < PINGS_MAX => {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "homeserver could not ping the bridge; retrying"
                );
                tokio::time::sleep(RETRY).await;
                attempt += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn exit_code(failure: &StartupError) -> ExitCode {
    match failure {
        StartupError::NotReachable { .. } => ExitCode::Unreachable,
        StartupError::WrongUser { .. } => ExitCode::WrongUser,
        StartupError::TokenRefused
        | StartupError::RegistrationDiffers
        | StartupError::OtherService { .. }
        | StartupError::NoHomeserver { .. } => ExitCode::AsToken,
        StartupError::Other { .. } => ExitCode::Other,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
