//! What a configuration must hold beside the right types.
//!
//! Values of the sample that nobody can really have refuse to start: a bridge that listens to
//! `example.com` would only look as if it worked.

use std::time::Duration;

use ruma::user_id;
use tracing_subscriber::EnvFilter;

use super::{
    BackendKind, Config, Level, Problem, Tools,
    error::unknown_key,
    letta_url,
    permissions::{EXAMPLE_DOMAIN, Permissions},
    schema,
};
use crate::identity::IdentityError;

/// Looking for agents more often than this helps nobody.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Everything that is wrong, by section.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    homeserver(config, &mut problems);
    appservice(config, &mut problems);
    tokens(config, &mut problems);
    permissions(config, &mut problems);
    others(config, &mut problems);
    problems
}

fn homeserver(config: &Config, problems: &mut Vec<Problem>) {
    if config.homeserver.domain == EXAMPLE_DOMAIN {
        problems.push(Problem::value(
            "homeserver.domain",
            "is still the example",
            "set it to the name of your server: what stands after the colon in your user id",
        ));
    }
    if config.homeserver.is_embedded() {
        #[cfg(not(feature = "embedded"))]
        problems.push(Problem::value(
            "homeserver.mode",
            "this program was built without the embedded homeserver",
            "set it to `external`, or use a build with the feature `embedded`",
        ));
    } else {
        if !config.homeserver.listen.is_empty() {
            problems.push(Problem::value(
                "homeserver.listen",
                "is for the embedded homeserver, and this one is external",
                "remove it, or set `mode: embedded`",
            ));
        }
        let known: Vec<_> = schema::at(["homeserver"])
            .into_iter()
            .flat_map(schema::Node::children)
            .map(|(key, _)| key)
            .collect();
        let unknown = config.homeserver.tuwunel.keys();
        problems.extend(
            unknown.map(|key| unknown_key(&["homeserver".to_owned(), key.clone()], &known)),
        );
    }
}

fn appservice(config: &Config, problems: &mut Vec<Problem>) {
    let appservice = &config.appservice;
    if appservice.port == 0 {
        problems.push(Problem::value(
            "appservice.port",
            "expected a number from 1 to 65535, got 0",
            "set it like `port: 29400`",
        ));
    }
    problems.extend(appservice.connections.problems());
    for (key, text, example) in [
        (
            "appservice.hostname",
            &appservice.hostname,
            "hostname: 127.0.0.1",
        ),
        ("appservice.id", &appservice.id, "id: letta"),
    ] {
        if text.trim().is_empty() {
            problems.push(Problem::value(
                key,
                "is empty",
                format!("set it like `{example}`"),
            ));
        }
    }
    if appservice
        .bot
        .avatar
        .as_ref()
        .is_some_and(|avatar| !avatar.is_valid())
    {
        problems.push(Problem::value(
            "appservice.bot.avatar",
            "is not an `mxc://` URI",
            "upload the picture in any room and copy its address, like `mxc://server/id`",
        ));
    }
    if let Err(error) = config.identity() {
        let key = match &error {
            IdentityError::DomainTooLong { .. } => "homeserver.domain",
            IdentityError::SpaceAlias(_) => "space.alias",
            IdentityError::LooksLikeAgent { name, .. } if *name == config.space.alias => {
                "space.alias"
            }
            IdentityError::Bot(_) | IdentityError::LooksLikeAgent { .. } => {
                "appservice.bot.username"
            }
        };
        problems.push(Problem::value(key, error, ""));
    }
}

fn tokens(config: &Config, problems: &mut Vec<Problem>) {
    // Between the two parts of one process nobody else needs to know them.
    if config.homeserver.is_embedded() {
        return;
    }
    let appservice = &config.appservice;
    let tokens = [
        ("appservice.as_token", &appservice.as_token),
        ("appservice.hs_token", &appservice.hs_token),
    ];
    let missing = tokens.iter().filter(|(_, token)| token.is_missing());
    problems.extend(missing.clone().map(|(key, _)| {
        Problem::value(
            key,
            "no token has been made yet",
            "run `matrix-appservice-letta -g`, it makes both and writes the registration",
        )
    }));
    if missing.count() == 0 && appservice.as_token == appservice.hs_token {
        problems.push(Problem::value(
            "appservice.hs_token",
            "is the same as `appservice.as_token`",
            "make new ones with `registration --rotate-tokens`",
        ));
    }
}

fn permissions(config: &Config, problems: &mut Vec<Problem>) {
    let permissions = &config.permissions;
    let wrong = |what: String, fix: &str| Problem::value("permissions", what, fix);
    if !permissions.names_somebody() {
        let what = if *permissions == Permissions::nobody() {
            "names nobody, so nobody could talk to an agent"
        } else {
            "still names only the examples"
        };
        let fix = "add yourself, like `\"@you:your.server\": admin`";
        problems.push(wrong(what.to_owned(), fix));
    }
    // Nobody is `@x:invalid`, so this is what everybody may do.
    if permissions.level(user_id!("@x:invalid")) == Level::Admin {
        problems.push(wrong(
            "`*` makes everybody an admin".to_owned(),
            "name the admins by their full user ids",
        ));
    }
    let identity = config.identity().ok();
    for user in permissions.users() {
        if identity
            .as_ref()
            .is_some_and(|identity| identity.is_ours(user))
        {
            problems.push(wrong(
                format!("`{user}` is a name that belongs to the bot or to an agent"),
                "agents and the bot need no permission; name the people",
            ));
        }
    }
    for server in permissions.servers() {
        let name = server.as_str();
        // `alice` could be a server, but is most likely meant as a person.
        let local = !name.contains(['.', ':']) && name != "localhost";
        if local && server != config.homeserver.domain {
            problems.push(wrong(
                format!("`{name}` is not a whole server name"),
                "write a full user id like `\"@alice:example.org\"`; local parts grant nothing",
            ));
        }
    }
}

fn others(config: &Config, problems: &mut Vec<Problem>) {
    if let Some(backend @ (BackendKind::Rest | BackendKind::OpenAi)) = config.letta.backend
        && letta_url::is_web_socket(&config.letta.url)
    {
        problems.push(Problem::value(
            "letta.url",
            format_args!(
                "begins with `{}://`, which `backend: {backend}` does not speak",
                config.letta.url.scheme()
            ),
            "set `backend: app-server`, or leave it out",
        ));
    }
    if config.letta.poll_interval < POLL_INTERVAL_MIN {
        problems.push(Problem::value(
            "letta.poll_interval",
            format_args!(
                "is less than {}",
                humantime::format_duration(POLL_INTERVAL_MIN)
            ),
            "set it like `poll_interval: 500ms`",
        ));
    }
    if config.transcription.model.trim().is_empty() {
        problems.push(Problem::value(
            "transcription.model",
            "is empty",
            "set it like `model: whisper-1`",
        ));
    }
    if config.turns.approval_timeout.is_zero() {
        problems.push(Problem::value(
            "turns.approval_timeout",
            "is nothing, so every tool that needs a decision would be denied at once",
            "set it like `approval_timeout: 10m`",
        ));
    }
    if config.turns.approve_level == Level::Block {
        problems.push(Problem::value(
            "turns.approve_level",
            "is `block`, which everybody has",
            "set it like `approve_level: user`; `admin` lets only admins approve",
        ));
    }
    for name in &config.tools.allow {
        if !Tools::names().any(|known| known == name) {
            problems.push(Problem::value(
                "tools.allow",
                format_args!("names {name:?}, which is no tool"),
                format!(
                    "there are {}",
                    Tools::names().collect::<Vec<_>>().join(", ")
                ),
            ));
        }
    }
    if config.journal.keep_events.is_zero() {
        problems.push(Problem::value(
            "journal.keep_events",
            "is nothing, so a message that comes twice would be answered twice",
            "set it like `keep_events: 7d`",
        ));
    }
    let filter = EnvFilter::try_new(&config.logging.level).map_err(|error| error.to_string());
    if let Err(what) = filter.and_then(|_| settings::check_log_filter(&config.logging.level)) {
        problems.push(Problem::value(
            "logging.level",
            what,
            "set it like `level: info` or `level: info,matrix_appservice_letta=debug`",
        ));
    }
}
