//! Devices: named, seen, deleted, logged out, and what a new password and the end of an account do to them.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::store::tables;

fn auth(session: &Value, name: &str, password: &str) -> Value {
    json!({
        "auth": {
            "type": "m.login.password", "session": session, "password": password,
            "identifier": { "type": "m.id.user", "user": name },
        }
    })
}

#[tokio::test]
async fn a_device_is_named_and_deleted_with_the_password() {
    let test = server().await;
    let alice = registered(&test, "alice").await;
    registered(&test, "bob").await;
    let (_, phone) = login(&test, password("alice", "secret")).await;
    let token = alice["access_token"].as_str().unwrap();
    let path = format!(
        "/_matrix/client/v3/devices/{}",
        phone["device_id"].as_str().unwrap()
    );
    let named = json!({ "display_name": "Phone" });
    assert_eq!(
        with(&test, token, Method::PUT, &path, named).await.0,
        StatusCode::OK
    );
    let (_, device) = with(&test, token, Method::GET, &path, json!({})).await;
    assert_eq!(device["display_name"], "Phone");

    let (status, answer) = with(&test, token, Method::DELETE, &path, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["flows"], json!([{ "stages": ["m.login.password"] }]));
    let session = &answer["session"];
    for (name, password) in [("alice", "wrong"), ("bob", "secret")] {
        let (status, answer) = with(
            &test,
            token,
            Method::DELETE,
            &path,
            auth(session, name, password),
        )
        .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer["errcode"], "M_FORBIDDEN");
    }
    // A session of one endpoint is none of another.
    let other = "/_matrix/client/v3/delete_devices";
    let mut body = auth(session, "alice", "secret");
    body["devices"] = json!([phone["device_id"]]);
    let (status, _) = with(&test, token, Method::POST, other, body).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let body = auth(session, "alice", "secret");
    let (status, answer) = with(&test, token, Method::DELETE, &path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        whoami(&test, &phone["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        whoami(&test, &alice["access_token"]).await.0,
        StatusCode::OK
    );
    let changed = test.server.store.scan::<tables::DeviceListChanges>(());
    assert!(
        changed
            .map(Result::unwrap)
            .any(|(_, user)| user == "@alice:letta.test")
    );
}

#[tokio::test]
async fn logging_out_ends_one_device_or_all() {
    let test = server().await;
    let one = registered(&test, "alice").await;
    let (_, two) = login(&test, password("alice", "secret")).await;
    let (_, three) = login(&test, password("alice", "secret")).await;
    let token = |session: &Value| session["access_token"].as_str().unwrap().to_owned();
    let path = "/_matrix/client/v3/logout";
    assert_eq!(
        with(&test, &token(&one), Method::POST, path, json!({}))
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        whoami(&test, &one["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    let all = "/_matrix/client/v3/logout/all";
    assert_eq!(
        with(&test, &token(&two), Method::POST, all, json!({}))
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        whoami(&test, &three["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(test.server.store.scan::<tables::Tokens>(()).count(), 0);
}

#[tokio::test]
async fn a_new_password_ends_other_devices_and_a_deactivated_account_stays_gone() {
    let test = server().await;
    let one = registered(&test, "alice").await;
    let (_, two) = login(&test, password("alice", "secret")).await;
    let token = one["access_token"].as_str().unwrap();
    let mut body = auth(&Value::Null, "alice", "secret");
    body["auth"].as_object_mut().unwrap().remove("session");
    body["new_password"] = json!("better");
    let path = "/_matrix/client/v3/account/password";
    let (status, answer) = with(&test, token, Method::POST, path, body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        whoami(&test, &two["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        login(&test, password("alice", "secret")).await.0,
        StatusCode::FORBIDDEN
    );

    let path = "/_matrix/client/v3/account/deactivate";
    body["auth"]["password"] = json!("better");
    let (status, answer) = with(&test, token, Method::POST, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        whoami(&test, &one["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    let (status, answer) = login(&test, password("alice", "better")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["errcode"], "M_USER_DEACTIVATED");
    let path = "/_matrix/client/v3/register/available?username=alice";
    let (_, answer) = test.call(Method::GET, path, json!({})).await;
    assert_eq!(answer["errcode"], "M_USER_IN_USE");
}

#[tokio::test]
async fn it_is_noted_when_a_device_was_seen() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let path = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    // Written beside the request, so a later one sees it.
    let seen = async {
        while !alice.get(&path).await["last_seen_ts"].is_u64() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(10);
    assert!(tokio::time::timeout(limit, seen).await.is_ok());
}
