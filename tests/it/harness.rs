//! The house itself: what every other test stands on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::person::Person;
use crate::support::process::client;
use crate::support::room::Room;
use crate::support::server::Homeserver;
use crate::support::wire::{ExchangePhase, RuleAction, Wire, matrix_error};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn two_persons_talk_on_a_real_homeserver_and_see_what_clients_show() {
    let dir = tempfile::tempdir().unwrap();
    let mut homeserver = Homeserver::chosen(dir.path());
    homeserver.lay_out(None);
    let started = Instant::now();
    homeserver.start().await;
    println!("Synapse answered after {:?}", started.elapsed());
    let url = homeserver.url();
    let (alice, bob) = tokio::join!(
        Person::register(&url, "alice", dir.path()),
        Person::register(&url, "bob", dir.path())
    );
    println!("two persons are there after {:?}", started.elapsed());

    let room = alice.create_room(&[&bob.user_id]).await;
    bob.wait_for("for the invitation", &room, SOON, |room| {
        (room.membership == "invite").then_some(())
    })
    .await;
    assert_eq!(
        bob.room(&room).invited_by.as_deref(),
        Some(alice.user_id.as_str())
    );
    bob.join(&room).await;

    let question = alice.say(&room, "hello").await;
    bob.wait_for("for the question", &room, SOON, |room| {
        room.entry(&question).cloned()
    })
    .await;
    bob.read(&room, &question).await;
    bob.typing(&room, true).await;
    let answer = bob.reply(&room, &question, "hel").await;
    bob.edit(&room, &answer, "hello,").await;
    bob.edit(&room, &answer, "hello, alice").await;
    bob.react(&room, &question, "👋").await;

    let seen = alice
        .wait_for_answer(&room, &question, SOON, |text| text == "hello, alice")
        .await;
    assert_eq!(
        (seen.edits, seen.sender.as_str()),
        (2, bob.user_id.as_str())
    );
    assert_eq!(
        seen.bodies.first().cloned().flatten().as_deref(),
        Some("hel")
    );
    alice
        .wait_for("to be read", &room, SOON, |room| {
            room.was_read(&question, &bob.user_id).then_some(())
        })
        .await;
    alice
        .wait_for("for typing", &room, SOON, |room| {
            room.typing_seen.contains(&bob.user_id).then_some(())
        })
        .await;
    alice
        .wait_for("for a wave", &room, SOON, |room| {
            room.entry(&question)?
                .reactions
                .contains_key("👋")
                .then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_client_sees_threads_redactions_names_and_mentions() {
    let dir = tempfile::tempdir().unwrap();
    let mut homeserver = Homeserver::chosen(dir.path());
    homeserver.lay_out(None);
    homeserver.start().await;
    let alice = Person::register(&homeserver.url(), "alice", dir.path()).await;
    let room = alice.create_room(&[]).await;
    let top = alice.say(&room, "a topic for a thread").await;
    let aside = alice.say_in_thread(&room, &top, "aside").await;
    let wrong = alice.say(&room, "wrong").await;
    alice.redact(&room, &wrong).await;
    let call = alice.mention(&room, "@bob:letta.test", "Bob!").await;
    alice.rename_room(&room, "Tea").await;

    let phone = Person::log_in(&homeserver.url(), "alice", dir.path()).await;
    let named = |room: &Room| (room.name() == Some("Tea")).then(|| room.clone());
    let seen = phone.wait_for("for the name", &room, SOON, named).await;
    let aside = seen.entry(&aside).unwrap();
    assert_eq!(
        (aside.thread.as_deref(), aside.reply_is_fallback),
        (Some(top.as_str()), true)
    );
    assert!(seen.entry(&wrong).unwrap().redacted);
    assert_eq!(seen.entry(&call).unwrap().mentions, ["@bob:letta.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_homeserver_that_was_stopped_or_killed_comes_back_with_everything_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut homeserver = Homeserver::chosen(dir.path());
    homeserver.lay_out(None);
    homeserver.start().await;
    let alice = Person::register(&homeserver.url(), "alice", dir.path()).await;
    let room = alice.create_room(&[]).await;
    alice.say(&room, "one").await;
    homeserver.stop().await;
    homeserver.start().await;
    alice.say(&room, "two").await;
    homeserver.kill9().await;
    homeserver.start().await;
    alice.say(&room, "three").await;
    let said = alice
        .wait_for("for three messages", &room, SOON, |room| {
            let said: Vec<_> = room
                .timeline
                .iter()
                .map(|entry| entry.text().to_owned())
                .collect();
            (said.len() == 3).then_some(said)
        })
        .await;
    assert_eq!(said, ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_records_and_holds_every_moment() {
    let (target, stop) = little_server().await;
    let mut wire = Wire::to("test", &target).await;
    let http = client();

    let url = format!("{}/echo?user_id=%40a%3Ab", wire.url());
    let echo = http.post(&url).json(&json!({"n": 1})).send().await.unwrap();
    assert_eq!(echo.json::<Value>().await.unwrap(), json!({"n": 1}));
    let seen = wire.exchanges();
    assert_eq!(
        (seen.len(), seen[0].status, seen[0].acts_as()),
        (1, Some(StatusCode::OK), Some("@a:b".to_owned()))
    );
    assert_eq!(wire.with_segment("echo").len(), 1);
    assert!(wire.with_segment("ech").is_empty());

    // Held before and after: the other end has not, then has seen the request.
    for (stage, reached) in [(ExchangePhase::Arrived, 0), (ExchangePhase::Answered, 1)] {
        wire.clear();
        let mut held = wire.hold(move |moment| moment.is(stage, &Method::POST, "/echo"));
        let asking = tokio::spawn(http.post(&url).json(&json!({})).send());
        held.caught(SOON).await;
        assert_eq!(wire.count(|exchange| exchange.status.is_some()), reached);
        assert!(!asking.is_finished());
        held.release(RuleAction::Drop);
        asking.await.unwrap().unwrap_err();
    }

    let rule = wire.always(
        matrix_error(StatusCode::BAD_GATEWAY, "M_UNKNOWN"),
        |moment| moment.stage == ExchangePhase::Arrived,
    );
    let refused = http.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    wire.forget(rule);

    // A stream passes chunk by chunk, and a chunk can be held while those before it are through.
    let mut held =
        wire.hold(|moment| moment.stage == ExchangePhase::Chunk && moment.chunk.as_ref() == b"two");
    let mut chunks = http
        .get(format!("{}/stream", wire.url()))
        .send()
        .await
        .unwrap()
        .bytes_stream();
    assert_eq!(chunks.next().await.unwrap().unwrap(), "one");
    assert_eq!(held.caught(SOON).await.chunks_before, 1);
    held.release(RuleAction::Pass);
    assert_eq!(chunks.next().await.unwrap().unwrap(), "two");

    wire.close().await;
    assert!(http.get(&url).send().await.unwrap_err().is_connect());
    wire.open().await;
    http.post(&url).json(&json!({})).send().await.unwrap();
    stop.notify_one();
}

/// Echoes, and streams two chunks that come one after the other.
async fn little_server() -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let chunks = || async {
        axum::body::Body::from_stream(stream::iter(["one", "two"]).then(|chunk| async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes()))
        }))
    };
    let app = Router::new()
        .route(
            "/echo",
            post(|Json(body): Json<Value>| async { Json(body) }),
        )
        .route("/stream", get(chunks));
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(async move { stopped.notified().await })
            .await
    });
    (url, stop)
}
