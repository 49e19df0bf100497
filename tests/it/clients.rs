//! Other people's clients find in a homeserver what they expect.
//!
//! Every driver in `tests/clients` runs against every server listed at the end, through a proxy that checks each answer
//! against the Matrix specification. A server that the clients are content with here is one that people can use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::clients::{Report, Shapes, install, prove};
use crate::support::person::PASSWORD;
use crate::support::process::{free_port, tail};
use crate::support::server::{REGISTRATION_TOKEN, Server};
use crate::support::synapse::DOMAIN;
use crate::support::world::{SOON, SPACE, World};

/// How many steps each driver has at least; one that silently does less proves less.
const NIO_STEPS: usize = 65;
const JS_STEPS: usize = 64;
const JS_ENCRYPTED_STEPS: usize = 81;
const RUST_SDK_STEPS: usize = 44;
const APPSERVICE_STEPS: usize = 14;
const MAUTRIX_STEPS: usize = 22;
const MAUTRIX_DEVICES_STEPS: usize = 25;
const PAGE_STEPS: usize = 13;
const AGENT_STEPS: usize = 7;
const ENCRYPTED_AGENT_STEPS: usize = 12;
/// A homeserver that lets sliding sync wait until there is something to tell is asked some hundred times in all these
/// steps on three devices (Synapse: 96 to 98); one that answers at once is asked many times as often.
const SLIDING_SYNCS: usize = 125;

/// How many lines of each log a failed test shows.
const TAIL: usize = 30;

/// A homeserver with the shape proxy before it.
struct Stand<S: Server> {
    server: S,
    shapes: Shapes,
    _dir: TempDir,
}

impl<S: Server> Stand<S> {
    async fn new(registration: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let registration = registration(dir.path());
        let server = S::launch(&dir.path().join("server"), registration.as_deref()).await;
        let shapes = Shapes::before(&server.url(), S::NAME, dir.path()).await;
        Self {
            server,
            shapes,
            _dir: dir,
        }
    }

    /// Runs a driver against the proxy; nothing that it got may violate the specification.
    async fn prove(&self, steps: usize, driver: &str, arguments: &[&str]) -> Report {
        let token = ["--registration-token", REGISTRATION_TOKEN];
        let all = [&[driver, self.shapes.url()], arguments, &token].concat();
        prove(steps, &all).await;
        let report = self.shapes.report().await;
        assert!(
            report.violations.is_empty(),
            "not as the specification says: {:#?}",
            report.violations
        );
        assert!(
            report.checked > steps && report.operations > 10,
            "the proxy checked {} answers of {} operations: the driver went round it",
            report.checked,
            report.operations
        );
        report
    }
}

impl<S: Server> Drop for Stand<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in [vec![self.shapes.log.clone()], self.server.logs()].concat() {
                eprintln!("{}", tail(&log, TAIL));
            }
        }
    }
}

async fn nio<S: Server>() {
    let stand = Stand::<S>::new(|_| None).await;
    stand.prove(NIO_STEPS, "nio", &[]).await;
}

async fn js<S: Server>() {
    install("js").await;
    let stand = Stand::<S>::new(|_| None).await;
    stand.prove(JS_STEPS, "js", &[]).await;
}

async fn js_encrypted<S: Server>() {
    install("js").await;
    let stand = Stand::<S>::new(|_| None).await;
    stand
        .prove(JS_ENCRYPTED_STEPS, "js", &["--encrypted"])
        .await;
}

async fn rust_sdk<S: Server>() {
    install("rust-sdk").await;
    let stand = Stand::<S>::new(|_| None).await;
    stand.prove(RUST_SDK_STEPS, "rust-sdk", &[]).await;
}

async fn rust_sdk_sliding<S: Server>() {
    install("rust-sdk").await;
    let stand = Stand::<S>::new(|_| None).await;
    let report = stand
        .prove(RUST_SDK_STEPS, "rust-sdk", &["--sliding"])
        .await;
    let syncs = report.times_asked("/org.matrix.simplified_msc3575/sync");
    assert!(
        (1..=SLIDING_SYNCS).contains(&syncs),
        "{syncs} sliding syncs: a homeserver that answers before there is something to tell keeps phones awake"
    );
}

async fn page<S: Server>() {
    install("page").await;
    let stand = Stand::<S>::new(|_| None).await;
    stand.prove(PAGE_STEPS, "page", &[]).await;
}

async fn another_appservice<S: Server>() {
    install("appservice").await;
    let mut file = PathBuf::new();
    let stand = Stand::<S>::new(|dir| {
        file = dir.join("echo.yaml");
        std::fs::write(&file, echo_registration()).expect("the registration can be written");
        Some(file.clone())
    })
    .await;
    let file = file.to_str().expect("a path in UTF-8").to_owned();
    let arguments = ["--registration", &file, "--domain", DOMAIN];
    stand
        .prove(APPSERVICE_STEPS, "appservice", &arguments)
        .await;
}

async fn mautrix<S: Server>() {
    mautrix_with::<S>(MAUTRIX_STEPS, &[]).await;
}

/// With what encrypting bridges need, which Synapse tells only as an experiment.
async fn mautrix_with_devices<S: Server>() {
    mautrix_with::<S>(MAUTRIX_DEVICES_STEPS, &["--devices"]).await;
}

async fn mautrix_with<S: Server>(steps: usize, more: &[&str]) {
    install("mautrix").await;
    let mut file = PathBuf::new();
    let stand = Stand::<S>::new(|dir| {
        file = dir.join("echo.yaml");
        std::fs::write(&file, echo_registration()).expect("the registration can be written");
        Some(file.clone())
    })
    .await;
    let file = file.to_str().expect("a path in UTF-8").to_owned();
    let arguments = [&["--registration", &file, "--domain", DOMAIN], more].concat();
    stand.prove(steps, "mautrix", &arguments).await;
}

/// The registration of an echo bot that is not ours.
fn echo_registration() -> String {
    json!({
        "id": "echo",
        "url": format!("http://127.0.0.1:{}", free_port()),
        "as_token": "what-the-echo-bot-says",
        "hs_token": "what-the-homeserver-says",
        "sender_localpart": "echo",
        "rate_limited": false,
        "receive_ephemeral": true,
        "org.matrix.msc3202": true,
        "namespaces": {
            "users": [{"exclusive": true, "regex": format!("@echo_.*:{DOMAIN}")}],
            "aliases": [{"exclusive": true, "regex": format!("#echo_.*:{DOMAIN}")}],
            "rooms": [],
        },
    })
    .to_string()
}

/// From the space through its hierarchy to an answer, the way a person with this client goes.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_in_other_clients() {
    install("js").await;
    let world = World::start().await;
    let alice = format!("alice:{PASSWORD}");
    for driver in ["nio", "js"] {
        let url = world.homeserver.url();
        let arguments = [driver, &url, "--agent-room", SPACE, "--login", &alice];
        prove(AGENT_STEPS, &arguments).await;
    }
}

/// From the first message of an encrypted chat to a second device, with a client that talks to signed devices only.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_in_encrypted_rooms() {
    install("js").await;
    let world = World::start().await;
    let (_, home) = world.first_room().await;
    let log = || std::fs::read_to_string(world.bridge.log()).unwrap_or_default();
    let is_on = async {
        while !log().contains("agents read and write in encrypted rooms") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, is_on)
        .await
        .expect("encryption is on");
    let url = world.homeserver.url();
    let alice = format!("alice:{PASSWORD}");
    let arguments = [
        "js",
        &url,
        "--encrypted",
        "--agent-room",
        &home,
        "--login",
        &alice,
    ];
    prove(ENCRYPTED_AGENT_STEPS, &arguments).await;
}

/// One test of one client against one server.
macro_rules! client {
    ($server:ty, $name:ident => $prove:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            super::$prove::<$server>().await;
        }
    };
}

/// One line for each server: the clients that prove it.
macro_rules! clients_are_content_with {
    ($($module:ident: $server:ty, [$($name:ident => $prove:ident),+ $(,)?]);+ $(;)?) => {$(
        mod $module {
            $(client!($server, $name => $prove);)+
        }
    )+};
}

clients_are_content_with! {
    synapse: crate::support::synapse::Synapse, [
        matrix_nio => nio,
        matrix_js_sdk => js,
        matrix_js_sdk_encrypted => js_encrypted,
        rust_matrix_sdk => rust_sdk,
        rust_matrix_sdk_sliding_sync => rust_sdk_sliding,
        page_in_chromium => page,
        matrix_bot_sdk_as_an_appservice => another_appservice,
        mautrix_as_an_appservice => mautrix,
    ];
    embedded: crate::support::embedded::Embedded, [
        matrix_nio => nio,
        matrix_js_sdk => js,
        matrix_js_sdk_encrypted => js_encrypted,
        rust_matrix_sdk => rust_sdk,
        rust_matrix_sdk_sliding_sync => rust_sdk_sliding,
        page_in_chromium => page,
        matrix_bot_sdk_as_an_appservice => another_appservice,
        mautrix_as_an_appservice => mautrix_with_devices,
    ];
}
