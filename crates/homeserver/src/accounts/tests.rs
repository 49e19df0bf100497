//! What clients see of accounts, through the router.

mod appservice;
mod credentials;
mod devices;
mod guesses;
mod in_flight;
mod limits;
mod login;
mod moderation;
mod people;
mod register;
mod rooms;

use futures_util::FutureExt;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{holder::Holder, operations::deactivate::SentContent, testing::TestServer};

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

#[tokio::test]
async fn account_that_is_changed_holds_up_nobody_else() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let accounts = &test.server.accounts;
    let held = accounts.changing.lock([alice.user_id.clone()]).await;
    test.log_in(&bob.user_id).await;
    accounts.set_suspended(&bob.user_id, true).await.unwrap();
    let carol = test
        .server
        .operations
        .create_account("carol", None)
        .await
        .unwrap();
    test.server
        .operations
        .deactivate(&carol, SentContent::Kept, None)
        .await
        .unwrap();
    let mut waiting = std::pin::pin!(accounts.set_suspended(&alice.user_id, true));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(held);
    waiting.await.unwrap();
}

#[tokio::test]
async fn scarce_registration_token_makes_as_many_accounts_as_it_says() {
    let test = TestServer::start().await;
    let accounts = &test.server.accounts;
    let token = accounts
        .issue_registration_token(Some(3), None)
        .await
        .unwrap();
    let registering = (0..12).map(|n| {
        let (server, token) = (test.server.clone(), token.clone());
        let new = crate::operations::register::NewAccount {
            user_id: format!("@user{n}:letta.test").try_into().unwrap(),
            hash: None,
            guest: false,
            appservice: None,
            registration_token: Some(token),
        };
        // As a handler does it.
        let (pool, holder) = (server.blocking.clone(), Holder::User(new.user_id.clone()));
        let adding = async move { server.operations.register(new).await.is_ok() };
        tokio::spawn(async move { pool.run(holder, adding).await })
    });
    let mut made = 0;
    for registered in registering.collect::<Vec<_>>() {
        made += usize::from(registered.await.unwrap());
    }
    assert_eq!((made, accounts.list().unwrap().len()), (3, 3));
}
