//! Guessing secrets, and queueing for it: one address gets nowhere with many accounts, nor does it keep others out.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::{
    http::tests::sockets::{Serving, status, until},
    limits::{HASHES_WAITING_MAX, HASHES_WAITING_PER_ADDRESS_MAX},
};

const LOGIN: &str = "/_matrix/client/v3/login";

/// Calls from an address, as a trusted proxy says it.
async fn from(
    test: &TestServer,
    address: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("x-forwarded-for", address);
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = test.server.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn logs_in(test: &TestServer, address: &str, name: &str, secret: &str) -> StatusCode {
    let body = password(name, secret);
    from(test, address, Method::POST, LOGIN, body).await.0
}

#[tokio::test]
async fn one_address_cannot_guess_at_sixty_accounts() {
    let test = server().await;
    registered(&test, "alice").await;
    let mut statuses = Vec::new();
    for number in 0..60 {
        // As many addresses as one customer has.
        let address = format!("2001:db8:7:7::{number:x}");
        let name = format!("user{number}");
        statuses.push(logs_in(&test, &address, &name, "guess").await);
    }
    let (free, limited) = statuses.split_at(30);
    assert!(free.iter().all(|status| *status == StatusCode::FORBIDDEN));
    let too_many = StatusCode::TOO_MANY_REQUESTS;
    assert!(limited.iter().all(|status| *status == too_many));
    // Right passwords pass nowhere but elsewhere.
    assert_eq!(
        logs_in(&test, "2001:db8:7:7::1", "alice", "secret").await,
        too_many
    );
    assert_eq!(
        logs_in(&test, "2001:db8:7:8::1", "alice", "secret").await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn stranger_does_not_lock_the_owner_out() {
    let test = server().await;
    registered(&test, "alice").await;
    for _ in 0..40 {
        logs_in(&test, "192.0.2.66", "alice", "guess").await;
    }
    let there = logs_in(&test, "192.0.2.66", "alice", "secret").await;
    assert_eq!(there, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        logs_in(&test, "192.0.2.1", "alice", "secret").await,
        StatusCode::OK
    );
}

/// Alice has a device at 192.0.2.1.
async fn is_at_home(test: &TestServer) {
    let body = password("alice", "secret");
    let (_, session) = from(test, "192.0.2.1", Method::POST, LOGIN, body).await;
    let token = session["access_token"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/account/whoami?access_token={token}");
    from(test, "192.0.2.1", Method::GET, &path, Value::Null).await;
    until(|| {
        let home = Some("192.0.2.1".parse().unwrap());
        let user = ruma::user_id!("@alice:letta.test");
        test.server.accounts.has_device_at(user, home).unwrap()
    })
    .await;
}

#[tokio::test]
async fn many_strangers_lock_the_owner_out_of_new_places_only() {
    let test = server().await;
    registered(&test, "alice").await;
    is_at_home(&test).await;
    let user = ruma::user_id!("@alice:letta.test");
    // As if a hundred addresses had guessed, without as many hashes.
    for number in 0..100_u32 {
        let address = std::net::Ipv4Addr::from_bits(number).into();
        drop(test.server.accounts.begin_guess(user, Some(address)));
    }
    let new_place = logs_in(&test, "198.51.100.1", "alice", "secret").await;
    assert_eq!(new_place, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        logs_in(&test, "192.0.2.1", "alice", "secret").await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn every_secret_is_guarded_by_the_same_counter() {
    let test = TestServer::start_with(|config| {
        config.registration.allow_registration = true;
        config.registration.registration_token = Some(crate::config::Secret::new(TOKEN));
        config.registration.registration_shared_secret = Some(crate::config::Secret::new("x"));
    })
    .await;
    let nonce = json!({ "username": "a", "password": "b", "mac": "0".repeat(40) });
    let register = json!({
        "username": "bob", "password": "secret",
        "auth": { "type": "m.login.registration_token", "token": "guess" },
    });
    let cases = [
        (
            Method::POST,
            LOGIN,
            json!({ "type": "m.login.token", "token": "guess" }),
        ),
        (Method::POST, "/_matrix/client/v3/register", register),
        (
            Method::GET,
            "/_matrix/client/v1/register/m.login.registration_token/validity?token=guess",
            Value::Null,
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/openid/userinfo?access_token=guess",
            Value::Null,
        ),
        (Method::POST, "/_synapse/admin/v1/register", nonce),
    ];
    for (number, (method, path, mut body)) in cases.into_iter().enumerate() {
        let address = format!("192.0.2.{number}");
        let mut answered = 0;
        for _ in 0..40 {
            if path.contains("_synapse") {
                let (_, answer) = from(&test, &address, Method::GET, path, Value::Null).await;
                body["nonce"] = answer["nonce"].clone();
            }
            let (status, answer) = from(&test, &address, method.clone(), path, body.clone()).await;
            if status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(answer["errcode"], "M_LIMIT_EXCEEDED");
                assert!(answer["retry_after_ms"].as_u64().unwrap() > 0);
            } else {
                answered += 1;
            }
        }
        assert_eq!(answered, 30, "{path}");
    }
    // What is right is never counted.
    let path =
        format!("/_matrix/client/v1/register/m.login.registration_token/validity?token={TOKEN}");
    let path = path.replace(' ', "%20");
    for _ in 0..40 {
        let (_, answer) = from(&test, "192.0.2.99", Method::GET, &path, Value::Null).await;
        assert_eq!(answer["valid"], true);
    }
}

/// The head and body of a login from this address.
fn login_request(address: &str, name: &str) -> String {
    let body = password(name, "secret").to_string();
    format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_logins_leave_the_queue_without_a_hash() {
    let test = server().await;
    registered(&test, "alice").await;
    let serving = Serving::start(&test).await;
    let hashing = &test.server.accounts.hashing;
    let begun = hashing.begun();
    let stopped = hashing.stop();
    let mut streams = Vec::new();
    for number in 0..HASHES_WAITING_MAX {
        let address = format!("192.0.2.{number}");
        let name = format!("user{number}");
        streams.push(serving.send(&login_request(&address, &name)).await);
    }
    until(|| hashing.waiting() == HASHES_WAITING_MAX).await;
    // Whoever comes now is told so, and has not guessed.
    for _ in 0..40 {
        let mut late = serving.send(&login_request("192.0.2.200", "alice")).await;
        assert_eq!(status(&mut late).await, StatusCode::TOO_MANY_REQUESTS);
    }
    drop(streams);
    until(|| hashing.waiting() == 0).await;
    assert_eq!(hashing.begun(), begun);
    drop(stopped);
    let mut owner = serving.send(&login_request("192.0.2.200", "alice")).await;
    assert_eq!(status(&mut owner).await, StatusCode::OK);
    assert_eq!(hashing.begun(), begun + 1, "nobody else's was computed");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_queue_keeps_nobody_out_of_an_account_at_its_usual_address() {
    let test = server().await;
    registered(&test, "alice").await;
    let serving = Serving::start(&test).await;
    let hashing = &test.server.accounts.hashing;
    is_at_home(&test).await;
    let stopped = hashing.stop();
    let mut streams = Vec::new();
    for number in 0..HASHES_WAITING_MAX {
        let address = format!("198.51.100.{number}");
        let name = format!("user{number}");
        streams.push(serving.send(&login_request(&address, &name)).await);
    }
    until(|| hashing.waiting() == HASHES_WAITING_MAX).await;
    let mut stranger = serving.send(&login_request("192.0.2.200", "alice")).await;
    assert_eq!(status(&mut stranger).await, StatusCode::TOO_MANY_REQUESTS);
    let mut owner = serving.send(&login_request("192.0.2.1", "alice")).await;
    assert_eq!(status(&mut owner).await, StatusCode::OK);
    drop((streams, stopped));
    until(|| hashing.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_half_of_the_queue() {
    let test = server().await;
    registered(&test, "alice").await;
    let serving = Serving::start(&test).await;
    let hashing = &test.server.accounts.hashing;
    let stopped = hashing.stop();
    let mut streams = Vec::new();
    for number in 0..HASHES_WAITING_PER_ADDRESS_MAX {
        let name = format!("user{number}");
        streams.push(serving.send(&login_request("192.0.2.1", &name)).await);
    }
    until(|| hashing.waiting() == HASHES_WAITING_PER_ADDRESS_MAX).await;
    let mut one_more = serving.send(&login_request("192.0.2.1", "alice")).await;
    assert_eq!(status(&mut one_more).await, StatusCode::TOO_MANY_REQUESTS);
    let mut owner = serving.send(&login_request("192.0.2.2", "alice")).await;
    until(|| hashing.waiting() == HASHES_WAITING_PER_ADDRESS_MAX + 1).await;
    drop(stopped);
    assert_eq!(status(&mut owner).await, StatusCode::OK);
}

#[tokio::test]
async fn device_was_last_seen_where_the_trusted_proxy_says() {
    for (trusted, seen) in [(vec!["127.0.0.0/8"], "198.51.100.7"), (vec![], "127.0.0.1")] {
        let test = TestServer::start_with(|config| {
            let networks = trusted
                .iter()
                .map(|network: &&str| network.parse().unwrap());
            config.proxies.trusted_proxies = networks.collect();
        })
        .await;
        let alice = test.person("alice").await;
        let serving = Serving::start(&test).await;
        let head = format!(
            "GET /_matrix/client/v3/account/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n\r\n",
            alice.token
        );
        let mut stream = serving.send(&head).await;
        assert_eq!(status(&mut stream).await, StatusCode::OK);
        let at = Some(seen.parse().unwrap());
        let accounts = &test.server.accounts;
        until(|| accounts.has_device_at(&alice.user_id, at).unwrap()).await;
    }
}
