//! What clients see of accounts, through the router.

mod appservice;
mod devices;
mod guesses;
mod limits;
mod login;
mod moderation;
mod people;
mod register;
mod rooms;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::TestServer;

const TOKEN: &str = "let me in";

/// A server on which whoever knows [`TOKEN`] can register.
async fn server() -> TestServer {
    TestServer::start_with(|config| {
        config.registration.allow_registration = true;
        config.registration.registration_token = Some(crate::config::Secret::new(TOKEN));
    })
    .await
}

/// A call with this token.
async fn with(
    test: &TestServer,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}access_token={token}");
    test.call(method, &path, body).await
}

/// Registers somebody in one step, with the password `secret`.
async fn registered(test: &TestServer, name: &str) -> Value {
    let body = json!({
        "username": name, "password": "secret",
        "auth": { "type": "m.login.registration_token", "token": TOKEN },
    });
    let path = "/_matrix/client/v3/register";
    let (status, answer) = test.call(Method::POST, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

async fn login(test: &TestServer, body: Value) -> (StatusCode, Value) {
    test.call(Method::POST, "/_matrix/client/v3/login", body)
        .await
}

fn password(name: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": name },
        "password": password,
    })
}

async fn whoami(test: &TestServer, token: &Value) -> (StatusCode, Value) {
    let path = "/_matrix/client/v3/account/whoami";
    with(test, token.as_str().unwrap(), Method::GET, path, json!({})).await
}
