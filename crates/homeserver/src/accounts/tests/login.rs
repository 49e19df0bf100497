//! Logging in: passwords, guesses, tokens that end and are refreshed, tokens for other devices.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_password_logs_in_again_and_again_across_a_restart() {
    let test = server().await;
    let first = registered(&test, "alice").await;
    let (status, second) = login(&test, password("alice", "secret")).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert_ne!(first["device_id"], second["device_id"]);
    let (_, by_id) = login(&test, password("@Alice:letta.test", "secret")).await;
    assert_eq!(by_id["user_id"], "@alice:letta.test");
    let old_way = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
    assert_eq!(login(&test, old_way).await.0, StatusCode::OK);

    // The same device again: its old token ends.
    let mut again = password("alice", "secret");
    again["device_id"] = first["device_id"].clone();
    let (_, again) = login(&test, again).await;
    assert_eq!(again["device_id"], first["device_id"]);
    let (status, answer) = whoami(&test, &first["access_token"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_UNKNOWN_TOKEN");

    let test = test.restart().await;
    for session in [&second, &again] {
        assert_eq!(
            whoami(&test, &session["access_token"]).await.0,
            StatusCode::OK
        );
    }
    let (_, wrong) = login(&test, password("alice", "wrong")).await;
    let (_, nobody) = login(&test, password("nobody", "wrong")).await;
    assert_eq!(wrong["errcode"], "M_FORBIDDEN");
    assert_eq!(wrong, nobody);
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let test = server().await;
    registered(&test, "alice").await;
    registered(&test, "bob").await;
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(login(&test, password("alice", "guess")).await.0);
    }
    assert!(
        statuses[..10]
            .iter()
            .all(|status| *status == StatusCode::FORBIDDEN)
    );
    assert_eq!(statuses[10], StatusCode::TOO_MANY_REQUESTS);
    let (status, answer) = login(&test, password("alice", "secret")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["errcode"], "M_LIMIT_EXCEEDED");
    assert!(answer["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(
        login(&test, password("bob", "secret")).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn tokens_end_and_are_refreshed() {
    let test = TestServer::start_with(|config| {
        config.login.access_token_ttl = Duration::from_millis(400);
    })
    .await;
    test.server
        .operations
        .create_account("alice", Some("secret"))
        .await
        .unwrap();
    let mut wish = password("alice", "secret");
    wish["refresh_token"] = json!(true);
    let (_, session) = login(&test, wish).await;
    assert_eq!(session["expires_in_ms"], 400);
    let old = session["refresh_token"].clone();
    tokio::time::sleep(Duration::from_millis(450)).await;
    let (status, answer) = whoami(&test, &session["access_token"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["soft_logout"], true);

    let path = "/_matrix/client/v3/refresh";
    let refresh = |token: &Value| json!({ "refresh_token": token });
    let (status, lost) = test.call(Method::POST, path, refresh(&old)).await;
    assert_eq!(status, StatusCode::OK, "{lost}");
    // The answer was lost on its way: the old token is still good, what it gave out first is not.
    let (_, next) = test.call(Method::POST, path, refresh(&old)).await;
    assert_eq!(
        whoami(&test, &lost["access_token"]).await.0,
        StatusCode::UNAUTHORIZED
    );
    // Now the new one is used, so the old one is over.
    assert_eq!(whoami(&test, &next["access_token"]).await.0, StatusCode::OK);
    let (status, answer) = test.call(Method::POST, path, refresh(&old)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_UNKNOWN_TOKEN");
    let (status, _) = test
        .call(Method::POST, path, refresh(&next["refresh_token"]))
        .await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn another_device_logs_in_with_a_token_that_is_good_once() {
    let test = server().await;
    let alice = registered(&test, "alice").await;
    let token = alice["access_token"].as_str().unwrap();
    let path = "/_matrix/client/v1/login/get_token";
    let auth = json!({ "auth": {
        "type": "m.login.password", "password": "secret",
        "identifier": { "type": "m.id.user", "user": "alice" },
    }});
    assert_eq!(
        with(&test, token, Method::POST, path, json!({})).await.0,
        StatusCode::UNAUTHORIZED
    );
    let (status, answer) = with(&test, token, Method::POST, path, auth).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let wish = json!({ "type": "m.login.token", "token": answer["login_token"] });
    let (status, other) = login(&test, wish.clone()).await;
    assert_eq!(status, StatusCode::OK, "{other}");
    assert_eq!(other["user_id"], alice["user_id"]);
    assert_eq!(login(&test, wish).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_login_that_is_none_is_refused_in_words() {
    use axum::body::Body;
    use tower::ServiceExt;

    let test = server().await;
    for body in ["", "{}", "{} {}", "[]", "{\"type\":"] {
        let request = http::Request::post("/_matrix/client/v3/login").body(Body::from(body));
        let response = test.server.router().oneshot(request.unwrap()).await;
        assert_eq!(
            response.unwrap().status(),
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_a_sync_could_not_be_read_with_is_not_taken() {
    use axum::body::Body;
    use tower::ServiceExt;

    let test = server().await;
    let alice = registered(&test, "alice").await;
    let token = alice["access_token"].as_str().unwrap();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(120), "]".repeat(120));
    for body in ["{\"a\":1e999}", "{\"a\":\"\\ud800\"}", &deep] {
        let path = "/_matrix/client/v3/user/@alice:letta.test/account_data/org.letta.test";
        let request = http::Request::put(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "text/plain")
            .body(Body::from(body.to_owned()));
        let response = test.server.router().oneshot(request.unwrap()).await;
        assert_eq!(
            response.unwrap().status(),
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
}
