//! What the doctor says about a homeserver, with a small one in its place.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::{
    cli::{probe, provide_cryptography},
    config::{BackendKind, HomeserverMode, Secret, http_url},
    registration::Registration,
};

/// What the homeserver was told about the bridge.
#[derive(Clone)]
struct Installed {
    software: &'static str,
    user: &'static str,
    as_token: &'static str,
    hs_token: &'static str,
    bridge: String,
}

type Answer = (StatusCode, Json<Value>);

fn may(installed: &Installed, headers: &HeaderMap) -> Result<(), Answer> {
    let expected = format!("Bearer {}", installed.as_token);
    if headers
        .get("authorization")
        .is_some_and(|given| given == expected.as_str())
    {
        return Ok(());
    }
    Err((
        StatusCode::UNAUTHORIZED,
        Json(json!({ "errcode": "M_UNKNOWN_TOKEN" })),
    ))
}

async fn whoami(State(installed): State<Installed>, headers: HeaderMap) -> Result<Answer, Answer> {
    may(&installed, &headers)?;
    Ok((StatusCode::OK, Json(json!({ "user_id": installed.user }))))
}

async fn ping(State(installed): State<Installed>, headers: HeaderMap) -> Result<Answer, Answer> {
    may(&installed, &headers)?;
    let request = probe::client()
        .unwrap()
        .post(format!("{}/_matrix/app/v1/ping", installed.bridge));
    match request.bearer_auth(installed.hs_token).send().await {
        Ok(answer) if answer.status().is_success() => {
            Ok((StatusCode::OK, Json(json!({ "duration_ms": 1 }))))
        }
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body = json!({ "errcode": "M_BAD_STATUS", "status": status });
            Err((StatusCode::BAD_GATEWAY, Json(body)))
        }
        Err(_) => {
            let body = json!({ "errcode": "M_CONNECTION_FAILED" });
            Err((StatusCode::BAD_GATEWAY, Json(body)))
        }
    }
}

struct TestFolder {
    _folder: TempDir,
    config: Config,
    registration: std::path::PathBuf,
}

/// What this software answers about itself: to other servers, and at the path of Tuwunel.
fn versions_of(software: &str) -> (Answer, Answer) {
    let tuwunel = software == "Tuwunel";
    let version = json!({ "name": software, "version": "1" });
    // Without federation Tuwunel says its name at its own path only.
    let federation = if tuwunel {
        (
            StatusCode::FORBIDDEN,
            Json(json!({ "errcode": "M_FORBIDDEN" })),
        )
    } else {
        (StatusCode::OK, Json(json!({ "server": version })))
    };
    let own = if tuwunel {
        (StatusCode::OK, Json(version))
    } else {
        (StatusCode::NOT_FOUND, Json(json!({})))
    };
    (federation, own)
}

/// A configuration that fits everything, and a homeserver that `change` was made to.
async fn house(change: impl FnOnce(&mut Installed)) -> TestFolder {
    provide_cryptography();
    let folder = TempDir::new().unwrap();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        free.local_addr().unwrap().port()
    };
    let mut installed = Installed {
        software: "Synapse",
        user: "@letta:house.test",
        as_token: "aaa",
        hs_token: "hhh",
        bridge: format!("http://127.0.0.1:{port}"),
    };
    change(&mut installed);
    let (federation, own) = versions_of(installed.software);
    let encryption = (
        StatusCode::NOT_FOUND,
        Json(json!({ "errcode": "M_NOT_FOUND" })),
    );
    let router = Router::new()
        .route(
            "/_matrix/client/versions",
            get(Json(json!({ "versions": ["v1.11"] }))),
        )
        .route(
            "/_matrix/federation/v1/version",
            get(async move || federation),
        )
        .route("/_tuwunel/server_version", get(async move || own))
        .route("/_matrix/client/v3/account/whoami", get(whoami))
        .route("/_matrix/client/v1/appservice/letta/ping", post(ping))
        .route(
            "/_matrix/client/v3/joined_rooms",
            get(Json(json!({ "joined_rooms": ["!a:b"] }))),
        )
        .route(
            "/_matrix/client/v3/rooms/{room}/state/m.room.encryption",
            get(async move || encryption),
        )
        .with_state(installed);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut config = Config::default();
    config.homeserver.mode = HomeserverMode::External;
    config.homeserver.address = http_url::parse(&address).unwrap();
    config.homeserver.domain = ruma::owned_server_name!("house.test");
    config.appservice.port = port;
    config.appservice.address = http_url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    config.appservice.as_token = Secret::new("aaa");
    config.appservice.hs_token = Secret::new("hhh");
    config.letta.backend = Some(BackendKind::Demo);
    config.journal.path = folder.path().join("journal");
    let registration = folder.path().join("registration.yaml");
    Registration::new(&config)
        .unwrap()
        .write(&registration)
        .unwrap();
    TestFolder {
        _folder: folder,
        config,
        registration,
    }
}

impl TestFolder {
    async fn report(&self) -> String {
        let folder = self.registration.parent().unwrap().display().to_string();
        let port = self.config.appservice.port.to_string();
        let homeserver = http_url::text(&self.config.homeserver.address);
        let lines: Vec<_> = checks(&self.config, &self.registration)
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        let text = lines.join("\n");
        text.replace(&folder, "DIR")
            .replace(homeserver, "HOMESERVER")
            .replace(&port, "PORT")
    }

    /// Only what failed.
    async fn failures(&self) -> String {
        let report = self.report().await;
        let failures = report.lines().filter(|line| !line.starts_with("ok"));
        failures.collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn all_is_well() {
    let house = house(|_| ()).await;
    insta::assert_snapshot!(house.report().await, @"
    ok    registration: DIR/registration.yaml fits the configuration
    ok    journal: DIR/journal can be written
    ok    port: 127.0.0.1:PORT is free; the bridge is not running
    ok    letta: the bridge brings scripted agents along
    ok    homeserver: Synapse answers at HOMESERVER
    ok    as_token: accepted as @letta:house.test
    ok    homeserver -> bridge: the homeserver reaches http://127.0.0.1:PORT; tried in place of the bridge
    ok    encryption: the one room that was looked at is not encrypted
    ");
    assert!(
        !house.config.journal.path.exists(),
        "the doctor leaves nothing behind"
    );
}

#[tokio::test]
async fn a_registration_that_is_not_installed() {
    let house = house(|installed| installed.as_token = "other").await;
    insta::assert_snapshot!(house.failures().await, @"
    FAIL  as_token: The as_token was not accepted (401 Unauthorized M_UNKNOWN_TOKEN).
          Is the registration file installed in your homeserver correctly? Synapse must be restarted after it was added or changed.
    ");
}

#[tokio::test]
async fn a_token_of_another_bridge() {
    let house = house(|installed| installed.user = "@signalbot:house.test").await;
    insta::assert_snapshot!(house.failures().await, @"
    FAIL  as_token: The as_token belongs to @signalbot:house.test, not to @letta:house.test.
          Are the homeserver domain, bot username and username template in the config and in the registration matching? Is the id used by another bridge?
    ");
}

#[tokio::test]
async fn an_old_hs_token() {
    let house = house(|installed| installed.hs_token = "old").await;
    insta::assert_snapshot!(house.failures().await, @"
    FAIL  homeserver -> bridge: The homeserver -> bridge connection is not working (502 Bad Gateway M_BAD_STATUS).
          the homeserver has another hs_token; give it the registration again
    ");
}

#[tokio::test]
async fn a_bridge_that_the_homeserver_cannot_reach() {
    let house = house(|installed| "http://127.0.0.1:9".clone_into(&mut installed.bridge)).await;
    insta::assert_snapshot!(house.failures().await, @"
    FAIL  homeserver -> bridge: The homeserver -> bridge connection is not working (502 Bad Gateway M_CONNECTION_FAILED).
          from where the homeserver runs, http://127.0.0.1:PORT must lead to this machine's port PORT; set `appservice.address` and `appservice.hostname` (0.0.0.0 in a container), run `registration`, and give it to the homeserver
    ");
}

#[tokio::test]
async fn a_port_and_a_file_that_are_not_ours() {
    let mut house = house(|_| ()).await;
    let port = house.config.appservice.port;
    let other = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move { axum::serve(other, Router::new()).await });
    std::fs::write(house.registration.with_file_name("file"), "").unwrap();
    house.config.journal.path = house.registration.with_file_name("file").join("journal");
    std::fs::remove_file(&house.registration).unwrap();
    let failures = house.failures().await;
    let here: Vec<_> = failures.lines().take(6).collect();
    insta::assert_snapshot!(here.join("\n"), @"
    FAIL  registration: cannot open DIR/registration.yaml: No such file or directory (os error 2)
          run `registration`, then give it to the homeserver
    FAIL  journal: cannot write to DIR/file/journal: Not a directory (os error 20)
          let the bridge's user write there, or set `journal.path`
    FAIL  port: another program listens on 127.0.0.1:PORT
          stop it, or set `appservice.port` and `appservice.address` and run `registration` again
    ");
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn port_of_the_embedded_homeserver_that_is_taken() {
    let mut house = house(|_| ()).await;
    house.config.homeserver.mode = HomeserverMode::Embedded;
    house.config.homeserver.listen = vec!["127.0.0.1".parse().unwrap()];
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let keys = &mut house.config.homeserver.tuwunel;
    keys.insert("port".to_owned(), port.into());
    tokio::spawn(async move { axum::serve(other, Router::new()).await });
    insta::assert_snapshot!(house.failures().await.replace(&port.to_string(), "HTTP"), @"
    FAIL  homeserver: another program listens on 127.0.0.1:HTTP
          is another homeserver running? Stop it, or set `homeserver.port`
    ");
    let keys = &mut house.config.homeserver.tuwunel;
    keys.remove("port");
    keys.insert("mod".to_owned(), "external".into());
    insta::assert_snapshot!(house.failures().await, @"
    FAIL  homeserver: `homeserver.mod` is not a key; did you mean `mode`?
          fix this, then run doctor again
    ");
}

#[tokio::test]
async fn tuwunel_without_federation_is_named_and_gets_its_own_advice() {
    for (software, advice, not) in [
        (
            "Tuwunel",
            "`!admin appservices list` in the room #admins:house.test",
            "estart",
        ),
        ("Synapse", "Synapse must be restarted", "!admin"),
        ("Dendrite", "Many homeservers must be restarted", "Synapse"),
    ] {
        let house = house(|installed| {
            installed.software = software;
            installed.as_token = "another";
        })
        .await;
        let found = remote::homeserver(&house.config, None).await;
        let named = found[0].outcome.as_ref().unwrap();
        assert!(
            named.starts_with(&format!("{software} answers at")),
            "{named}"
        );
        let refused = format!("{:?}", found[1].outcome.as_ref().unwrap_err());
        assert!(
            refused.contains(advice) && !refused.contains(not),
            "{refused}"
        );
    }
}
