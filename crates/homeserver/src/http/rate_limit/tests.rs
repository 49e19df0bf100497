//! Who may do how much at once, with a clock that stands still until it is moved.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    appservices::Delivery,
    config::AppserviceRegistration,
    limits::{RATES, RateLimit, RateLimits, SWEEP_EVERY},
    testing::{TestServer, TestUser},
};

/// How many messages of one person at once pass in any case: what somebody pastes, or a client sends that was offline.
const AT_ONCE: u32 = 150;

async fn server() -> TestServer {
    TestServer::start_with(|config| config.limits.rate_limits = true).await
}

fn limit_of(rate: Rate) -> RateLimit {
    RATES[rate as usize]
}

async fn room(who: &TestUser, body: Value) -> String {
    let made = who.post("/_matrix/client/v3/createRoom", body).await;
    made["room_id"].as_str().unwrap().to_owned()
}

/// Sends a message, and gives what came back.
async fn send(who: &TestUser, room: &str, txn: u32) -> (StatusCode, HeaderMap, Value) {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}");
    let body = json!({ "msgtype": "m.text", "body": "hello" });
    let response = who.send_request(Method::PUT, &path, body).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await;
    let body = serde_json::from_slice(&bytes.unwrap()).unwrap();
    (status, headers, body)
}

#[test]
fn buckets_are_in_the_order_of_their_names() {
    for (place, limit) in RATES.iter().enumerate() {
        assert_eq!(limit.rate as usize, place, "{:?}", limit.rate);
    }
    assert!(limit_of(Rate::Messages).burst >= AT_ONCE);
}

#[tokio::test]
async fn burst_passes_and_the_next_message_is_told_when_it_will() {
    let test = server().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let (hers, his) = (room(&alice, json!({})).await, room(&bob, json!({})).await);
    let limit = limit_of(Rate::Messages);
    for txn in 0..limit.burst {
        assert_eq!(send(&alice, &hers, txn).await.0, StatusCode::OK, "{txn}");
    }
    let (status, headers, body) = send(&alice, &hers, limit.burst).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    let wait = Duration::from_millis(body["retry_after_ms"].as_u64().unwrap());
    let header = headers[http::header::RETRY_AFTER].to_str().unwrap();
    assert_eq!(header.parse(), Ok(wait.as_secs()));

    assert_eq!(send(&bob, &his, 0).await.0, StatusCode::OK, "another user");
    // Nothing was sent, so the same transaction id is free.
    test.server.rate_limits.pass(limit.every);
    assert_eq!(send(&alice, &hers, limit.burst).await.0, StatusCode::OK);
    let (status, _, _) = send(&alice, &hers, limit.burst + 1).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "one came back");
    test.server.rate_limits.pass(wait);
    assert_eq!(send(&alice, &hers, limit.burst + 1).await.0, StatusCode::OK);
}

#[tokio::test]
async fn each_kind_of_request_has_a_bucket_of_its_own() {
    let test = server().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    let limits = &test.server.rate_limits;
    for rate in [Rate::Joins, Rate::Invites, Rate::Rooms, Rate::Uploads] {
        let burst = NonZeroU32::new(limit_of(rate).burst).unwrap();
        limits.take(&bob.user_id, rate, burst).ok();
    }
    let invite = json!({ "user_id": alice.user_id });
    for (path, body) in [
        (format!("/_matrix/client/v3/join/{room}"), json!({})),
        (format!("/_matrix/client/v3/rooms/{room}/join"), json!({})),
        (format!("/_matrix/client/v3/knock/{room}"), json!({})),
        ("/_matrix/client/v3/createRoom".to_owned(), json!({})),
        (format!("/_matrix/client/v3/rooms/{room}/invite"), invite),
        ("/_matrix/media/v3/upload".to_owned(), json!({})),
    ] {
        let (status, _) = bob.call(Method::POST, &path, body).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    // Reading, logging out and everything else goes on.
    bob.get("/_matrix/client/v3/sync?timeout=0").await;
    let profile = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    bob.put(&profile, json!({ "displayname": "Bob" })).await;
    bob.post("/_matrix/client/v3/logout", json!({})).await;
}

#[tokio::test]
async fn invites_of_a_new_room_count_each() {
    let test = server().await;
    let alice = test.person("alice").await;
    let mut invited = Vec::new();
    for number in 0..3 {
        invited.push(test.person(&format!("guest{number}")).await.user_id);
    }
    let burst = limit_of(Rate::Invites).burst;
    let most = NonZeroU32::new(burst - 2).unwrap();
    let limits = &test.server.rate_limits;
    limits.take(&alice.user_id, Rate::Invites, most).unwrap();
    let create = "/_matrix/client/v3/createRoom";
    let body = json!({ "invite": invited });
    let (status, _) = alice.call(Method::POST, create, body).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    room(&alice, json!({ "invite": invited[..2] })).await;
}

/// Uses up a bucket of somebody, and says whether the next request is refused.
async fn refused(test: &TestServer, who: &TestUser, query: &str) -> bool {
    let all = NonZeroU32::new(limit_of(Rate::Settings).burst).unwrap();
    let limits = &test.server.rate_limits;
    limits.take(&who.user_id, Rate::Settings, all).unwrap();
    let user = &who.user_id;
    let path = format!("/_matrix/client/v3/user/{user}/account_data/x{query}");
    let (status, answer) = who.call(Method::PUT, &path, json!({})).await;
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    assert!(refused || status == StatusCode::OK, "{user}: {answer}");
    refused
}

#[tokio::test]
async fn admins_and_application_services_are_exempt_as_they_are_configured() {
    let test = TestServer::start_with(|config| {
        config.limits.rate_limits = true;
        config.admin.create_admin_room = true;
    })
    .await;
    for (id, limited) in [("free", false), ("slow", true)] {
        let yaml = format!(
            "id: {id}\nurl: null\nas_token: {id}\nhs_token: hs-{id}\nsender_localpart: {id}\n\
             rate_limited: {limited}\nnamespaces: {{users: [{{regex: '@{id}_.*', exclusive: true}}]}}"
        );
        let registration = AppserviceRegistration::from_yaml(&yaml).unwrap();
        test.server
            .add_appservice(registration, Delivery::Http)
            .await
            .unwrap();
    }
    let (admin, member) = (test.person("admin").await, test.person("member").await);
    test.server
        .operations
        .make_admin(&admin.user_id)
        .await
        .unwrap();
    assert!(!refused(&test, &admin, "").await, "an admin");
    assert!(refused(&test, &member, "").await, "a member");
    for (name, token, is_refused) in [
        ("free", "free", false),
        ("free_ghost", "free", false),
        ("slow", "slow", false),
        ("slow_ghost", "slow", true),
    ] {
        let ghost = test.with_token(name, token);
        let as_user = format!("?user_id={}", ghost.user_id);
        assert_eq!(refused(&test, &ghost, &as_user).await, is_refused, "{name}");
    }
}

#[tokio::test]
async fn buckets_that_are_full_again_are_dropped() {
    let limits = RateLimits::new(true);
    let one = NonZeroU32::MIN;
    for number in 0..SWEEP_EVERY - 2 {
        let user = ruma::UserId::parse(format!("@user{number}:letta.test")).unwrap();
        limits.take(&user, Rate::Messages, one).unwrap();
    }
    assert_eq!(limits.kept() as u64, SWEEP_EVERY - 2);
    let user = ruma::UserId::parse("@last:letta.test").unwrap();
    limits.pass(Duration::from_mins(1));
    for _ in 0..2 {
        limits.take(&user, Rate::Messages, one).unwrap();
    }
    assert_eq!(limits.kept(), 1);
}

#[test]
fn switched_off_nothing_is_counted() {
    let limits = RateLimits::new(false);
    let user = ruma::user_id!("@alice:letta.test").to_owned();
    for _ in 0..limit_of(Rate::Rooms).burst * 2 {
        limits.take(&user, Rate::Rooms, NonZeroU32::MIN).unwrap();
    }
    assert_eq!(limits.kept(), 0);
}

#[test]
fn requests_count_as_what_they_do() {
    for (method, path, rate) in [
        (
            Method::PUT,
            "v3/rooms/{a}/send/{b}/{c}",
            Some(Rate::Messages),
        ),
        (
            Method::PUT,
            "v3/rooms/{a}/redact/{b}/{c}",
            Some(Rate::Messages),
        ),
        (
            Method::PUT,
            "v3/rooms/{a}/state/{b}/{c}",
            Some(Rate::Messages),
        ),
        (Method::POST, "v3/rooms/{a}/kick", Some(Rate::Messages)),
        (Method::POST, "v3/join/{a}", Some(Rate::Joins)),
        (Method::POST, "v3/rooms/{a}/join", Some(Rate::Joins)),
        (Method::POST, "v3/createRoom", Some(Rate::Rooms)),
        (Method::POST, "v3/rooms/{a}/invite", Some(Rate::Invites)),
        (Method::PUT, "v3/profile/{a}/{b}", Some(Rate::Profiles)),
        (
            Method::PUT,
            "v3/rooms/{a}/typing/{b}",
            Some(Rate::Ephemeral),
        ),
        (Method::PUT, "v3/sendToDevice/{a}/{b}", Some(Rate::Keys)),
        (Method::POST, "v3/keys/query", None),
        (Method::POST, "v3/keys/upload", Some(Rate::Keys)),
        (Method::POST, "v3/search", Some(Rate::Searches)),
        (Method::POST, "v3/rooms/{a}/report/{b}", Some(Rate::Reports)),
        (
            Method::PUT,
            "v3/user/{a}/account_data/{b}",
            Some(Rate::Settings),
        ),
        (
            Method::POST,
            "unstable/org.matrix.simplified_msc3575/sync",
            None,
        ),
        (Method::POST, "v3/logout/all", None),
        (Method::GET, "v3/sync", None),
        (Method::GET, "v1/media/preview_url", Some(Rate::Searches)),
    ] {
        let path = format!("/_matrix/client/{path}");
        assert_eq!(rate_of(&method, &path), rate, "{method} {path}");
    }
    for (method, path, rate) in [
        (Method::POST, "v3/upload", Some(Rate::Uploads)),
        (Method::PUT, "v3/upload/{a}/{b}", Some(Rate::Uploads)),
        (Method::POST, "v1/create", None),
    ] {
        let path = format!("/_matrix/media/{path}");
        assert_eq!(rate_of(&method, &path), rate, "{method} {path}");
    }
}
