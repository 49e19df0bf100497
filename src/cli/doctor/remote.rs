//! What can be seen only by asking the homeserver and Letta.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Advice, Check};
use crate::{
    app,
    cli::{
        HomeserverKind, letta,
        probe::{Answer, Homeserver},
    },
    config::{Config, Secret, http_url},
};

/// How many of the bot's rooms are looked at.
const ROOMS_MAX: usize = 5;

/// Whether Letta answers, with our key.
pub(super) async fn letta(config: &Config) -> Check {
    let outcome = match app::letta(config) {
        Ok(None) => Ok("the bridge brings scripted agents along".to_owned()),
        Err(error) => Err(Advice::new(
            format!("{error:#}"),
            "check the `letta` section",
        )),
        Ok(Some(backend)) => match backend.info().await {
            Ok(info) => Ok(letta::answers(&info, http_url::text(&config.letta.url))),
            Err(error) => Err(Advice::new(
                format!("{error} ({})", error.code()),
                letta::fix(&error),
            )),
        },
    };
    Check {
        name: "letta",
        outcome,
    }
}

/// Everything about the homeserver, in the order in which one depends on the other.
pub(super) async fn homeserver(config: &Config, listener: Option<TcpListener>) -> Vec<Check> {
    let homeserver = match Homeserver::new(config) {
        Ok(homeserver) => homeserver,
        Err(why) => {
            let advice = Advice::new(why, "check the certificates of this machine");
            return vec![Check {
                name: "homeserver",
                outcome: Err(advice),
            }];
        }
    };
    let versions = versions(&homeserver).await;
    let mut checks = vec![Check {
        name: "homeserver",
        outcome: versions,
    }];
    if checks.iter().any(|check| check.outcome.is_err()) {
        return checks;
    }
    let token = as_token(config, &homeserver).await;
    let accepted = token.is_ok();
    checks.push(Check {
        name: "as_token",
        outcome: token,
    });
    if accepted {
        let ping = ping(config, &homeserver, listener).await;
        checks.push(Check {
            name: "homeserver -> bridge",
            outcome: ping,
        });
        checks.push(Check {
            name: "encryption",
            outcome: encryption(&homeserver).await,
        });
    }
    checks
}

async fn versions(homeserver: &Homeserver) -> Result<String, Advice> {
    let fix = "check `homeserver.address`, and that the homeserver is running";
    let wrong = |what: String| Advice::new(format!("{}: {what}", homeserver.address()), fix);
    let answer = homeserver
        .get("/_matrix/client/versions")
        .await
        .map_err(&wrong)?;
    if !answer.status.is_success() || !answer.body["versions"].is_array() {
        return Err(wrong(format!(
            "answers {}, which is no Matrix homeserver",
            answer.in_words()
        )));
    }
    let software = homeserver
        .software()
        .await
        .unwrap_or_else(|| "a homeserver".to_owned());
    Ok(format!("{software} answers at {}", homeserver.address()))
}

/// What a homeserver says to our `as_token`.
pub(in crate::cli) enum Token {
    /// It is this user's.
    Accepted(String),
    /// It is nobody's.
    Refused(String),
    /// The homeserver did not say.
    Unreachable(String),
}

impl Token {
    /// Asks whose the token is.
    pub(in crate::cli) async fn ask(homeserver: &Homeserver) -> Self {
        match homeserver
            .get_as_bot("/_matrix/client/v3/account/whoami")
            .await
        {
            Err(why) => Self::Unreachable(why),
            Ok(answer) => match answer.body["user_id"].as_str() {
                Some(user) if answer.status.is_success() => Self::Accepted(user.to_owned()),
                _ if answer.status.is_server_error() => Self::Unreachable(answer.in_words()),
                _ => Self::Refused(answer.in_words()),
            },
        }
    }
}

async fn as_token(config: &Config, homeserver: &Homeserver) -> Result<String, Advice> {
    let bot = format!(
        "@{}:{}",
        config.appservice.bot.username, config.homeserver.domain
    );
    match Token::ask(homeserver).await {
        Token::Accepted(user) if user == bot => Ok(format!("accepted as {bot}")),
        Token::Accepted(user) => Err(Advice::new(
            format!("The as_token belongs to {user}, not to {bot}."),
            "Are the homeserver domain, bot username and username template in the config and in \
             the registration matching? Is the id used by another bridge?",
        )),
        Token::Refused(answer) => Err(Advice::new(
            format!("The as_token was not accepted ({answer})."),
            not_installed(config, homeserver).await,
        )),
        Token::Unreachable(why) => Err(Advice::new(
            why,
            "check that the homeserver is running and try again",
        )),
    }
}

/// How to give this homeserver the registration that it does not know.
async fn not_installed(config: &Config, homeserver: &Homeserver) -> String {
    let domain = &config.homeserver.domain;
    let name = homeserver.software().await.unwrap_or_default();
    match HomeserverKind::from_name(&name) {
        HomeserverKind::Tuwunel => format!(
            "Is the registration installed? `!admin appservices list` in the room #admins:{domain} says so; \
             `registration --homeserver tuwunel` prints the message that installs it."
        ),
        HomeserverKind::Synapse => "Is the registration file installed in your homeserver correctly? Synapse must be \
             restarted after it was added or changed."
            .to_owned(),
        HomeserverKind::Embedded | HomeserverKind::Other => {
            "Is the registration file installed in your homeserver correctly? Many homeservers must be restarted after \
             it was added or changed."
                .to_owned()
        }
    }
}

/// Asks the homeserver to call us. If the bridge is not running, this program answers in its place.
#[expect(
    clippy::disallowed_methods,
    reason = "it is aborted by its handle once the homeserver has answered"
)]
async fn ping(
    config: &Config,
    homeserver: &Homeserver,
    listener: Option<TcpListener>,
) -> Result<String, Advice> {
    let stand_in = listener.map(|listener| {
        let router = stand_in(config.appservice.hs_token.clone());
        tokio::spawn(async move { axum::serve(listener, router).await })
    });
    let id = utf8_percent_encode(&config.appservice.id, NON_ALPHANUMERIC);
    let path = format!("/_matrix/client/v1/appservice/{id}/ping");
    let answer = homeserver
        .post_as_bot(&path, &json!({ "transaction_id": "doctor" }))
        .await;
    let in_place = stand_in.is_some();
    if let Some(stand_in) = stand_in {
        stand_in.abort();
    }
    let address = http_url::text(&config.appservice.address);
    match answer {
        Ok(answer) if answer.status.is_success() && in_place => Ok(format!(
            "the homeserver reaches {address}; tried in place of the bridge"
        )),
        Ok(answer) if answer.status.is_success() => {
            Ok(format!("the homeserver reaches the bridge at {address}"))
        }
        Ok(answer) => Err(why_unreachable(config, &answer)),
        Err(why) => Err(Advice::new(
            why,
            "check that the homeserver is running and try again",
        )),
    }
}

fn why_unreachable(config: &Config, answer: &Answer) -> Advice {
    let address = http_url::text(&config.appservice.address);
    let what = format!(
        "The homeserver -> bridge connection is not working ({}).",
        answer.in_words()
    );
    let fix = match (answer.errcode(), answer.body["status"].as_u64()) {
        ("M_URL_NOT_SET", _) => {
            "`url` is null in the homeserver's registration; run `registration` and give it to the \
             homeserver"
                .to_owned()
        }
        ("M_BAD_STATUS", Some(401 | 403)) => {
            "the homeserver has another hs_token; give it the registration again".to_owned()
        }
        ("M_UNRECOGNIZED", _) => {
            "the homeserver is too old to be asked; nothing is known to be wrong".to_owned()
        }
        ("M_FORBIDDEN", _) => format!(
            "the homeserver knows this as_token under another id than {}; make `appservice.id` and \
             the installed registration the same",
            config.appservice.id
        ),
        _ => format!(
            "from where the homeserver runs, {address} must lead to this machine's port {}; set \
             `appservice.address` and `appservice.hostname` (0.0.0.0 in a container), run \
             `registration`, and give it to the homeserver",
            config.appservice.port
        ),
    };
    Advice::new(what, fix)
}

/// Answers pings as the bridge would.
fn stand_in(hs_token: Secret) -> Router {
    let answer = move |headers: HeaderMap| async move {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| hs_token.matches(given)) {
            (StatusCode::OK, Json(json!({})))
        } else {
            (
                StatusCode::FORBIDDEN,
                Json(json!({ "errcode": "M_FORBIDDEN" })),
            )
        }
    };
    Router::new().route("/_matrix/app/v1/ping", post(answer))
}

/// Agents cannot read encrypted rooms, and some homeservers encrypt every new room.
async fn encryption(homeserver: &Homeserver) -> Result<String, Advice> {
    let rooms = match homeserver
        .get_as_bot("/_matrix/client/v3/joined_rooms")
        .await
    {
        Ok(answer) => answer.body["joined_rooms"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let mut looked_at = 0;
    for room in rooms.iter().filter_map(Value::as_str).take(ROOMS_MAX) {
        let room_path = utf8_percent_encode(room, NON_ALPHANUMERIC);
        let path = format!("/_matrix/client/v3/rooms/{room_path}/state/m.room.encryption");
        let Ok(answer) = homeserver.get_as_bot(&path).await else {
            continue;
        };
        if answer.status.is_success() {
            return Err(Advice::new(
                format!("{room} is encrypted; agents read it only if the homeserver supports it"),
                "look in the bridge's log for \"encrypted rooms\"; docs/encryption.md says what the homeserver needs",
            ));
        }
        looked_at += 1;
    }
    Ok(match looked_at {
        0 => "the bot is in no room yet, so nothing could be seen".to_owned(),
        1 => "the one room that was looked at is not encrypted".to_owned(),
        many => format!("none of {many} rooms that were looked at is encrypted"),
    })
}
