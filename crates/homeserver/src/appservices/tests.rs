//! Application services as they see it: what arrives, in which order, and how often.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    routing::{post, put},
};
use http::StatusCode;
use ruma::{
    OwnedRoomId, OwnedUserId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
};
use serde_json::{Value, json, value::to_raw_value};
use tokio::time::Instant;

use super::Delivery;
use crate::{Server, config::AppserviceRegistration, rooms::Draft, testing::TestServer};

mod encryption;
mod ephemeral;
mod masquerade;
mod networks;
mod questions;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application service that writes down what it is sent, and fails while it is told to.
#[derive(Clone, Debug, Default)]
struct Double {
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    failing: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Double {
    fn router(&self) -> Router {
        let double = self.clone();
        let transactions = move |Path(id): Path<String>, Json(body): Json<Value>| async move {
            if double.failing.load(Ordering::SeqCst) {
                double.refused.lock().unwrap().push((id, body));
                return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({})));
            }
            double.seen.lock().unwrap().push((id, body));
            (StatusCode::OK, Json(json!({})))
        };
        Router::new()
            .route("/_matrix/app/v1/transactions/{id}", put(transactions))
            .route("/_matrix/app/v1/ping", post(|| async { Json(json!({})) }))
    }

    /// The events that arrived, in their order.
    fn events(&self) -> Vec<Value> {
        self.all("events")
    }

    /// All that arrived in lists of this name, in their order.
    fn all(&self, list: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .flat_map(|(_, body)| body[list].as_array().cloned().unwrap_or_default())
            .collect()
    }

    fn bodies(&self) -> Vec<String> {
        let events = self.events();
        let texts = events
            .iter()
            .filter_map(|event| event["content"]["body"].as_str());
        texts.map(str::to_owned).collect()
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !reached(self) {
            assert!(
                started.elapsed() < PATIENCE,
                "this came: {:?}",
                self.bodies()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn registration(id: &str, url: Option<&str>) -> AppserviceRegistration {
    let url = url.unwrap_or("null");
    AppserviceRegistration::from_yaml(&format!(
        "id: {id}\nurl: {url}\nas_token: {id}-as\nhs_token: {id}-hs\nsender_localpart: {id}bot\n\
         receive_ephemeral: true\norg.matrix.msc3202: true\nnamespaces:\n  users:\n  - exclusive: true\n    \
         regex: '@{id}_.*'\n  aliases:\n  - exclusive: true\n    regex: '#{id}_.*'\n"
    ))
    .unwrap()
}

async fn room(server: &Server, creator: &UserId) -> OwnedRoomId {
    let create = to_raw_value(&json!({ "room_version": "11" })).unwrap();
    let rooms = &server.rooms;
    let mut room = rooms
        .create(RoomVersionId::V11, creator.to_owned(), create)
        .await
        .unwrap();
    room.add(membership(creator, creator, "join")).unwrap();
    let rules = json!({ "join_rule": "public" });
    room.add(
        Draft::state(
            creator.to_owned(),
            &StateEventType::RoomJoinRules,
            "",
            &rules,
        )
        .unwrap(),
    )
    .unwrap();
    let id = room.room_id().to_owned();
    room.commit().await.unwrap();
    id
}

fn membership(sender: &UserId, user: &UserId, membership: &str) -> Draft {
    let content = json!({ "membership": membership });
    Draft::state(
        sender.to_owned(),
        &StateEventType::RoomMember,
        user.as_str(),
        &content,
    )
    .unwrap()
}

async fn add(server: &Server, room: &OwnedRoomId, draft: Draft) {
    let mut writer = server.rooms.write(room).await.unwrap();
    writer.add(draft).unwrap();
    writer.commit().await.unwrap();
}

async fn say(server: &Server, room: &OwnedRoomId, sender: &UserId, text: &str) {
    let content = to_raw_value(&json!({ "msgtype": "m.text", "body": text })).unwrap();
    add(
        server,
        room,
        Draft::message(sender.to_owned(), TimelineEventType::RoomMessage, content),
    )
    .await;
}

fn ghost(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:letta.test")).unwrap()
}

async fn served(url: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, url).await });
    format!("http://{address}")
}

#[tokio::test]
async fn it_hears_of_its_users_from_the_invite_to_the_leave_and_of_nothing_else() {
    let test = TestServer::start().await;
    let (server, double) = (&test.server, Double::default());
    let delivery = Delivery::InProcess(double.router());
    server
        .add_appservice(registration("br", None), delivery)
        .await
        .unwrap();
    let alice = test.person("alice").await.user_id;
    let (room, other) = (room(server, &alice).await, room(server, &alice).await);
    let puppet = ghost("br_one");
    say(server, &room, &alice, "before").await;
    add(server, &room, membership(&alice, &puppet, "invite")).await;
    say(server, &room, &alice, "while invited").await;
    add(server, &room, membership(&puppet, &puppet, "join")).await;
    say(server, &other, &alice, "elsewhere").await;
    say(server, &room, &alice, "while joined").await;
    say(server, &room, &puppet, "its own").await;
    add(server, &room, membership(&puppet, &puppet, "leave")).await;
    say(server, &room, &alice, "after").await;
    double.until(|double| double.events().len() >= 5).await;
    let memberships: Vec<_> = double
        .events()
        .iter()
        .filter_map(|event| event["content"]["membership"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(memberships, ["invite", "join", "leave"]);
    assert_eq!(double.bodies(), ["while joined", "its own"]);
    let events = double.events();
    let leave = events.last().unwrap();
    assert_eq!(leave["unsigned"]["prev_content"]["membership"], "join");
    assert_eq!(leave["state_key"], puppet.as_str());
    server.close().await;
}

#[tokio::test]
async fn what_was_said_while_it_failed_comes_in_order_and_once_even_after_a_restart() {
    let mut test = TestServer::start().await;
    let double = Double::default();
    double.failing.store(true, Ordering::SeqCst);
    let url = served(double.router()).await;
    let delivery = || Delivery::Http;
    test.server
        .add_appservice(registration("br", Some(&url)), delivery())
        .await
        .unwrap();
    let bot = ghost("brbot");
    let room = room(&test.server, &bot).await;
    for number in 0..500 {
        if number == 250 {
            double
                .until(|double| !double.refused.lock().unwrap().is_empty())
                .await;
            test = test.restart().await;
            test.server
                .add_appservice(registration("br", Some(&url)), delivery())
                .await
                .unwrap();
        }
        say(&test.server, &room, &bot, &number.to_string()).await;
    }
    double.failing.store(false, Ordering::SeqCst);
    // Nothing new happens: the timer has to bring it.
    double.until(|double| double.bodies().len() >= 500).await;
    let expected: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(double.bodies(), expected);
    let refused = double.refused.lock().unwrap().clone();
    let first = double.seen.lock().unwrap()[0].clone();
    assert!(
        refused.iter().all(|refused| *refused == first),
        "a retry has the same id and content"
    );
    assert!(
        refused.len() >= 2,
        "it was tried before and after the restart"
    );
    let most = double
        .seen
        .lock()
        .unwrap()
        .iter()
        .map(|(_, body)| body["events"].as_array().unwrap().len())
        .max();
    assert!(most.unwrap() <= crate::limits::TRANSACTION_EVENTS_MAX);
    test.server.close().await;
}

#[tokio::test]
async fn a_message_is_there_a_moment_after_it_was_sent() {
    let test = TestServer::start().await;
    let (server, double) = (&test.server, Double::default());
    let delivery = Delivery::InProcess(double.router());
    server
        .add_appservice(registration("br", None), delivery)
        .await
        .unwrap();
    let bot = ghost("brbot");
    let room = room(server, &bot).await;
    double.until(|double| !double.events().is_empty()).await;
    let mut took = Vec::new();
    for number in 0..20 {
        let text = number.to_string();
        say(server, &room, &bot, &text).await;
        let started = Instant::now();
        while !double.bodies().contains(&text) {
            assert!(started.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        took.push(started.elapsed());
    }
    took.sort();
    println!(
        "from the commit to the transaction: median {:?}, most {:?}",
        took[10], took[19]
    );
    assert!(
        took[10] < Duration::from_millis(250),
        "half of them took longer than {:?}",
        took[10]
    );
    server.close().await;
}

#[tokio::test]
async fn names_that_are_exclusive_are_nobody_elses() {
    let test = TestServer::start().await;
    let appservices = &test.server.appservices;
    test.server
        .add_appservice(registration("br", None), Delivery::Http)
        .await
        .unwrap();
    let own = appservices.get("br").unwrap();
    assert!(appservices.is_exclusive_user(&ghost("br_one"), None));
    assert!(appservices.is_exclusive_user(&ghost("BR_one"), None));
    assert!(appservices.is_exclusive_user(&ghost("brbot"), None));
    assert!(!appservices.is_exclusive_user(&ghost("br_one"), Some(&own)));
    assert!(!appservices.is_exclusive_user(&ghost("alice"), None));
    assert!(
        !appservices.is_exclusive_user(&UserId::parse("@br_one:elsewhere.test").unwrap(), None)
    );
    let alias = ruma::room_alias_id!("#br_one:letta.test");
    assert!(appservices.is_exclusive_alias(alias, None));
    assert!(!appservices.is_exclusive_alias(alias, Some(&own)));
    assert!(test.server.accounts.exists(&ghost("brbot")).unwrap());
    let again = test
        .server
        .add_appservice(registration("br", None), Delivery::Http)
        .await;
    assert_eq!(again.unwrap_err().to_string(), "Duplicate id: br");
    test.server.close().await;
}
