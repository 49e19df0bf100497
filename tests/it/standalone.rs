//! The embedded homeserver alone, as a program: its command line, its backups, and what application services get of it
//! although it is killed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Path as Argument;
use axum::routing::put;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::embedded::Embedded;
use crate::support::process::client;

/// How long what is queued may take to arrive, with its waits between two attempts.
const ARRIVAL: Duration = Duration::from_mins(1);
/// Bob's password; a command ends its words at spaces.
const PASSWORD: &str = "correct-horse-battery";
/// The token that the application service of this test speaks with.
const AS_TOKEN: &str = "what-the-listener-says";

/// Lays out a homeserver in `dir`.
fn homeserver(dir: &Path, registration: Option<&Path>) -> Embedded {
    let server = Embedded::new(dir);
    server.lay_out(registration);
    server
}

async fn logs_in(url: &str, name: &str) -> bool {
    let body = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": name },
    });
    let url = format!("{url}/_matrix/client/v3/login");
    let answer = client().post(url).json(&body).send().await;
    answer
        .expect("the homeserver answers")
        .status()
        .is_success()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_commands_on_the_command_line_answer_and_decide_how_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = homeserver(dir.path(), None);
    let create = format!("users create_user bob {PASSWORD}");
    let shutdown = "server shutdown";
    let done = server
        .command("homeserver", &["--execute", &create, "--execute", shutdown])
        .await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{done:?}");
    assert!(
        said.starts_with("Created user with user_id: @bob:"),
        "{said}"
    );
    let again = server.command("homeserver", &["--execute", &create]).await;
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{why}");
    assert!(
        why.contains("users create_user: ") && why.contains("Command failed with error"),
        "{why}"
    );
    assert!(!why.contains(PASSWORD), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_checked_and_brought_back_but_never_over_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = homeserver(dir.path(), None);
    let folder = dir.path().join("backups");
    let folder = folder.to_str().unwrap();
    let backup = async |server: &Embedded, arguments: &[&str]| {
        let arguments = [arguments, &["--folder", folder]].concat();
        let done = server.command("backup", &arguments).await;
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = backup(&server, &["list"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no backup in"), "{said}");

    server.start().await;
    let (code, said) = backup(&server, &["create"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("in use by another process"), "{said}");
    server.stop().await;
    let create = format!("users create-user bob {PASSWORD}");
    let shutdown = ["--execute", &create, "--execute", "server shutdown"];
    assert!(
        server
            .command("homeserver", &shutdown)
            .await
            .status
            .success()
    );

    let (code, said) = backup(&server, &["create"]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "Created database backup #1.\n")
    );
    let (_, said) = backup(&server, &["verify"]).await;
    assert_eq!(said, "Backup #1 is whole.\n");
    let (code, said) = backup(&server, &["verify", "7"]).await;
    assert_eq!(code, Some(2));
    assert!(
        said.contains("there is no such backup; there are #1"),
        "{said}"
    );
    let (code, said) = backup(&server, &["restore"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("holds a database. Move it away"), "{said}");
    std::fs::rename(dir.path().join("database"), dir.path().join("lost")).unwrap();
    let (code, said) = backup(&server, &["restore"]).await;
    assert_eq!(code, Some(0), "{said}");
    server.start().await;
    assert!(logs_in(&server.url(), "bob").await);
    server.stop().await;
}

/// The id of a transaction, and the texts in it.
type Transaction = (String, Vec<String>);

/// An application service that refuses until it is told to listen.
#[derive(Clone, Default)]
struct Listener {
    listens: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Transaction>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn serve(&self) -> String {
        let listener = self.clone();
        let transactions = put(
            move |Argument(id): Argument<String>, Json(body): Json<Value>| async move {
                if !listener.listens.load(Ordering::SeqCst) {
                    listener.refused.lock().unwrap().push(id);
                    return (StatusCode::BAD_GATEWAY, Json(json!({})));
                }
                let events = body["events"].as_array().cloned().unwrap_or_default();
                let texts = events
                    .iter()
                    .filter_map(|event| event["content"]["body"].as_str());
                let texts = texts.map(str::to_owned).collect();
                listener.heard.lock().unwrap().push((id, texts));
                (StatusCode::OK, Json(json!({})))
            },
        );
        let router = Router::new().route("/_matrix/app/v1/transactions/{id}", transactions);
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(socket, router).await });
        format!("http://{address}")
    }

    /// What was heard, each transaction once.
    fn texts(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let mut texts = Vec::new();
        for (id, said) in self.heard.lock().unwrap().iter() {
            if !seen.contains(id) {
                seen.push(id.clone());
                texts.extend(said.clone());
            }
        }
        texts
    }
}

async fn say(url: &str, room: &str, number: usize) {
    let path = format!("{url}/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
    let body = json!({ "msgtype": "m.text", "body": number.to_string() });
    let sent = client().put(path).bearer_auth(AS_TOKEN).json(&body).send();
    let sent = sent.await.expect("the homeserver answers");
    assert!(sent.status().is_success(), "{}", sent.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_appservice_outlives_kill_9_and_comes_in_order() {
    let (dir, listener) = (tempfile::tempdir().unwrap(), Listener::default());
    let registration = dir.path().join("listener.yaml");
    let text = json!({
        "id": "listener", "url": listener.serve().await, "as_token": AS_TOKEN, "hs_token": "hs",
        "sender_localpart": "listener", "namespaces": {},
    });
    std::fs::write(&registration, text.to_string()).unwrap();
    let mut server = homeserver(dir.path(), Some(&registration));
    server.start().await;
    let made = client()
        .post(format!("{}/_matrix/client/v3/createRoom", server.url()))
        .bearer_auth(AS_TOKEN)
        .json(&json!({}))
        .send();
    let made: Value = made.await.unwrap().json().await.unwrap();
    let room = made["room_id"].as_str().unwrap();
    let mut said = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            say(&server.url(), room, said).await;
            said += 1;
        }
        server.kill9().await;
        server.start().await;
    }
    let refused = listener.refused.lock().unwrap().clone();
    assert!(
        refused.len() > 1,
        "it was tried, and tried again: {refused:?}"
    );
    assert!(
        refused.iter().all(|id| *id == refused[0]),
        "the first one is not passed over: {refused:?}"
    );
    listener.listens.store(true, Ordering::SeqCst);
    let since = Instant::now();
    // Nothing new is said: the timer brings it.
    while listener.texts().len() < said {
        assert!(
            since.elapsed() < ARRIVAL,
            "this came: {:?}",
            listener.texts()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let expected: Vec<_> = (0..said).map(|number| number.to_string()).collect();
    assert_eq!(listener.texts(), expected);
    assert_eq!(listener.heard.lock().unwrap()[0].0, refused[0]);
    server.stop().await;
}
