//! Push gateways that listen on the loopback: what they are told, and when.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use ruma::MilliSecondsSinceUnixEpoch;
use tokio::{net::TcpListener, sync::mpsc};

use super::*;
use crate::{
    limits::{GATEWAY_CATCH_UP_MAX, PUSHERS_PER_USER},
    store::tables,
};

/// How long a push may take to arrive: a few failed attempts and a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const SET: &str = "/_matrix/client/v3/pushers/set";

fn loopback(config: &mut crate::Config) {
    config.outbound.ip_range_denylist.clear();
}

async fn taken(pushes: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    let push = tokio::time::timeout(PATIENCE, pushes.recv()).await;
    push.unwrap().unwrap()["notification"].clone()
}

/// A gateway that refuses its first push, and passes on what it takes.
async fn gateway(rejects: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    (url, serve(listener, rejects))
}

fn url(listener: &TcpListener) -> String {
    format!(
        "http://{}/_matrix/push/v1/notify",
        listener.local_addr().unwrap()
    )
}

/// The address of a gateway that is away, and where it can come back.
async fn away() -> (String, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (url(&listener), listener.local_addr().unwrap())
}

fn serve(
    listener: TcpListener,
    rejects: &'static [&'static str],
) -> mpsc::UnboundedReceiver<Value> {
    let (sender, taken) = mpsc::unbounded_channel();
    let calls = Arc::new(AtomicU32::new(0));
    let notify =
        move |State((calls, sender)): State<(Arc<AtomicU32>, mpsc::UnboundedSender<Value>)>,
              Json(body): Json<Value>| async move {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(StatusCode::BAD_GATEWAY);
            }
            sender.send(body).unwrap();
            Ok(Json(json!({ "rejected": rejects })))
        };
    let router = Router::new()
        .route("/_matrix/push/v1/notify", post(notify))
        .with_state((calls, sender));
    tokio::spawn(async move { axum::serve(listener, router).await });
    taken
}

fn pusher(url: &str) -> Value {
    json!({
        "kind": "http", "app_id": "org.example.app", "pushkey": "key", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en",
        "data": { "url": url, "format": "event_id_only", "colour": "blue" },
    })
}

#[tokio::test]
async fn a_gateway_that_failed_is_asked_again_and_one_that_rejects_loses_its_pusher() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, mut pushes) = gateway(&["key"]).await;
    let wrong = pusher("http://localhost/elsewhere");
    let (status, _) = bob
        .call(Method::POST, "/_matrix/client/v3/pushers/set", wrong)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    bob.post("/_matrix/client/v3/pushers/set", pusher(&url))
        .await;
    let listed = bob.get("/_matrix/client/v3/pushers").await;
    assert_eq!(listed["pushers"][0]["pushkey"], "key");

    let event = send(&test, &room, &alice, text("ring")).await;
    let pushed = taken(&mut pushes).await;
    assert_eq!(pushed["event_id"], event.as_str());
    assert_eq!(pushed["counts"]["unread"], 1);
    assert_eq!(
        pushed["devices"][0]["data"],
        json!({ "format": "event_id_only", "colour": "blue" })
    );
    assert!(pushed.get("content").is_none());
    let gone = async {
        while bob.get("/_matrix/client/v3/pushers").await["pushers"] != json!([]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_gateway_on_a_forbidden_network_is_not_asked() {
    let test = TestServer::start().await;
    let url = "http://127.0.0.1:9/_matrix/push/v1/notify".parse().unwrap();
    let guarded = crate::outbound::GuardedHttpClient::new(&test.server.config.outbound);
    assert!(guarded.request(Method::POST, &url).is_err());
    let named = "http://localhost:9/_matrix/push/v1/notify".parse().unwrap();
    let refused = guarded.request(Method::POST, &named).unwrap().send().await;
    let reason = format!("{:?}", refused.unwrap_err());
    assert!(reason.contains("Forbidden"), "{reason}");
}

#[tokio::test]
async fn a_pusher_goes_with_its_device() {
    let test = TestServer::start().await;
    let bob = test.person("bob").await;
    bob.post(
        "/_matrix/client/v3/pushers/set",
        pusher("https://push.example/_matrix/push/v1/notify"),
    )
    .await;
    let delete = json!({ "kind": null, "app_id": "org.example.app", "pushkey": "other" });
    bob.post("/_matrix/client/v3/pushers/set", delete).await;
    assert_eq!(test.server.pushers.list(&bob.user_id).unwrap().len(), 1);
    let mut batch = test.server.store.batch();
    let device: &ruma::DeviceId = bob.device_id.as_str().into();
    batch
        .delete::<tables::Devices>((&bob.user_id, device))
        .unwrap();
    test.server.store.commit(batch).await.unwrap();
    assert!(test.server.pushers.list(&bob.user_id).unwrap().is_empty());
}

#[tokio::test]
async fn a_phone_is_told_of_what_was_read_elsewhere() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, mut pushes) = gateway(&[]).await;
    bob.post("/_matrix/client/v3/pushers/set", pusher(&url))
        .await;
    send(&test, &room, &alice, text("ring")).await;
    let rang = taken(&mut pushes).await;
    assert_eq!(rang["counts"]["unread"], 1);
    read(&test, &bob, &room, ReceiptThread::Unthreaded).await;
    let mut write = test.server.stream.begin_write();
    let slot = write.reserve_position();
    let change = crate::stream::Change::Receipt(room.clone(), bob.user_id.clone());
    write.add_row(move |batch, positions| {
        batch.put::<tables::Changes>((positions.of(slot),), &change)
    });
    test.server.stream.commit(write).await.unwrap();
    let told = taken(&mut pushes).await;
    // A count of zero is left out.
    assert!(told.get("counts").is_none());
    assert!(told.get("event_id").is_none());
}

#[tokio::test]
async fn what_waits_when_the_server_ends_is_told_after_the_next_start_and_once() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, address) = away().await;
    send(&test, &room, &alice, text("before there was a pusher")).await;
    bob.post(SET, pusher(&url)).await;
    let one = send(&test, &room, &alice, text("one")).await;
    let two = send(&test, &room, &alice, text("two")).await;
    drop((alice, bob));

    let test = test.restart().await;
    let mut pushes = serve(TcpListener::bind(address).await.unwrap(), &[]);
    for (event, unread) in [(one, 3), (two, 3)] {
        let push = taken(&mut pushes).await;
        assert_eq!(push["event_id"], event.as_str());
        assert_eq!(push["counts"]["unread"], unread);
    }
    let test = test.restart().await;
    let alice = test.person("alice").await;
    let three = send(&test, &room, &alice, text("three")).await;
    assert_eq!(taken(&mut pushes).await["event_id"], three.as_str());
}

#[tokio::test]
async fn a_gateway_that_was_away_is_told_the_newest_and_nothing_old() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, address) = away().await;
    bob.post(SET, pusher(&url)).await;
    let event = send(&test, &room, &alice, text("ring")).await;
    let (store, user) = (&test.server.store, &bob.user_id);
    let (_, place) = test.server.rooms.place_of(&event).unwrap().unwrap();
    let row = store
        .get::<tables::Notifications>((user, &room, place))
        .unwrap()
        .unwrap();
    let mut old = row.clone();
    old.time = MilliSecondsSinceUnixEpoch(ruma::uint!(1));
    let rows = std::iter::repeat_n(row, GATEWAY_CATCH_UP_MAX + 20).chain([old]);
    let mut write = test.server.stream.begin_write();
    for row in rows {
        let slot = write.reserve_position();
        let (user, room) = (user.clone(), room.clone());
        write.add_row(move |batch, positions| {
            batch.put::<tables::Notifications>((&user, &room, positions.of(slot)), &row)
        });
    }
    test.server.stream.commit(write).await.unwrap();
    drop((alice, bob));

    let test = test.restart().await;
    let mut pushes = serve(TcpListener::bind(address).await.unwrap(), &[]);
    for _ in 0..GATEWAY_CATCH_UP_MAX {
        assert_eq!(taken(&mut pushes).await["event_id"], event.as_str());
    }
    let alice = test.person("alice").await;
    let news = send(&test, &room, &alice, text("news")).await;
    let push = taken(&mut pushes).await;
    assert_eq!(push["event_id"], news.as_str());
    assert_eq!(push["counts"]["unread"], GATEWAY_CATCH_UP_MAX + 23);
}

#[tokio::test]
async fn a_gateway_that_shows_more_is_told_more() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, mut pushes) = gateway(&[]).await;
    let mut full = pusher(&url);
    full["data"].as_object_mut().unwrap().remove("format");
    bob.post(SET, full).await;
    send(&test, &room, &alice, mention(&bob)).await;
    let push = taken(&mut pushes).await;
    assert_eq!(push["sender"], alice.user_id.as_str());
    assert_eq!(push["type"], "m.room.message");
    assert_eq!(push["content"]["body"], "you!");
    assert_eq!(push["devices"][0]["tweaks"]["highlight"], true);
}

#[tokio::test]
async fn pushers_per_user_are_limited() {
    let test = TestServer::start().await;
    let bob = test.person("bob").await;
    let mut wanted = pusher("https://push.example/_matrix/push/v1/notify");
    for number in 0..PUSHERS_PER_USER {
        wanted["pushkey"] = json!(format!("key{number}"));
        bob.post(SET, wanted.clone()).await;
    }
    bob.post(SET, wanted.clone()).await;
    wanted["pushkey"] = json!("one more");
    assert_eq!(
        bob.call(Method::POST, SET, wanted).await.0,
        StatusCode::BAD_REQUEST
    );
}

/// Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4076>
#[tokio::test]
async fn phone_that_counts_itself_is_told_no_counts() {
    let test = TestServer::start_with(loopback).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let (url, mut pushes) = gateway(&[]).await;
    let mut counting = pusher(&url);
    counting["data"]["org.matrix.msc4076.disable_badge_count"] = json!(true);
    bob.post(SET, counting).await;
    for body in ["one", "two"] {
        let event = send(&test, &room, &alice, text(body)).await;
        let push = taken(&mut pushes).await;
        assert_eq!(push["event_id"], event.as_str());
        assert_eq!(push.get("counts"), None);
        // Nothing is told of what was read: the next push is the next event.
        read(&test, &bob, &room, ReceiptThread::Unthreaded).await;
        let event = json!({ "m.read": event });
        bob.post(
            &format!("/_matrix/client/v3/rooms/{room}/read_markers"),
            event,
        )
        .await;
    }
}

/// Spec: <https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify>: `counts` without an event says that it changed.
#[tokio::test]
async fn badge_goes_down_when_what_was_unread_is_gone() {
    for ends_by in ["kick", "ban", "redact", "withdraw"] {
        let test = TestServer::start_with(loopback).await;
        let (alice, bob) = (test.person("alice").await, test.person("bob").await);
        let made = json!({ "preset": "public_chat" });
        let made = alice.post("/_matrix/client/v3/createRoom", made).await;
        let room = format!(
            "/_matrix/client/v3/rooms/{}",
            made["room_id"].as_str().unwrap()
        );
        if ends_by != "withdraw" {
            bob.post(&format!("{room}/join"), json!({})).await;
        }
        let (url, mut pushes) = gateway(&[]).await;
        bob.post(SET, pusher(&url)).await;
        let bobs = json!({ "user_id": bob.user_id });
        if ends_by == "withdraw" {
            alice.post(&format!("{room}/invite"), bobs.clone()).await;
        } else {
            let ring = format!("{room}/send/m.room.message/1");
            alice.put(&ring, text("ring")).await;
        }
        let rang = taken(&mut pushes).await;
        assert_eq!(rang["counts"]["unread"], 1, "{ends_by}");
        // The pusher has looked again and rests: only what wakes it can tell it more.
        tokio::time::sleep(Duration::from_millis(200)).await;
        match ends_by {
            "redact" => {
                let event = rang["event_id"].as_str().unwrap();
                alice
                    .put(&format!("{room}/redact/{event}/2"), json!({}))
                    .await;
            }
            "ban" => _ = alice.post(&format!("{room}/ban"), bobs).await,
            _ => _ = alice.post(&format!("{room}/kick"), bobs).await,
        }
        let told = taken(&mut pushes).await;
        assert!(
            told.get("counts").is_none() && told.get("event_id").is_none(),
            "{ends_by}: {told}"
        );
        test.server.close().await;
    }
}
