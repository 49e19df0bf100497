//! Users of application services: made, acted as, and kept from everybody else.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    appservices::Delivery,
    config::{AppserviceRegistration, appservice::RegistrationFile},
};

async fn bridged(manages_devices: bool) -> TestServer {
    let test = TestServer::start_with(|config| {
        config.registration.new_user_displayname_suffix = String::new();
    })
    .await;
    let file: RegistrationFile = serde_json::from_value(json!({
        "id": "letta", "url": null, "as_token": "as", "hs_token": "hs",
        "sender_localpart": "letta", "io.element.msc4190": manages_devices,
        "namespaces": { "users": [{ "exclusive": true, "regex": "@agent_.*" }] },
    }))
    .unwrap();
    let registration = AppserviceRegistration::new(file).unwrap();
    test.server
        .add_appservice(registration, Delivery::Http)
        .await
        .unwrap();
    test
}

async fn ask(test: &TestServer, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    with(test, "as", method, path, body).await
}

#[tokio::test]
async fn a_bridge_makes_its_users_and_nobody_else_does() {
    let test = bridged(false).await;
    let path = "/_matrix/client/v3/register";
    let ghost = json!({
        "type": "m.login.application_service", "username": "agent_A", "inhibit_login": true,
    });
    let (status, answer) = ask(&test, Method::POST, path, ghost.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer, json!({ "user_id": "@agent_a:letta.test" }));
    let (_, answer) = ask(&test, Method::POST, path, ghost.clone()).await;
    assert_eq!(answer["errcode"], "M_USER_IN_USE");
    let (status, answer) = test.call(Method::POST, path, ghost).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_MISSING_TOKEN");
    let outside = json!({ "type": "m.login.application_service", "username": "alice" });
    let (_, answer) = ask(&test, Method::POST, path, outside).await;
    assert_eq!(answer["errcode"], "M_EXCLUSIVE");
    let without = json!({ "username": "agent_b", "password": "secret" });
    for (_, answer) in [
        ask(&test, Method::POST, path, without.clone()).await,
        test.call(Method::POST, path, without).await,
    ] {
        assert_eq!(answer["errcode"], "M_EXCLUSIVE");
    }

    let whoami = "/_matrix/client/v3/account/whoami";
    let (_, answer) = ask(&test, Method::GET, whoami, json!({})).await;
    assert_eq!(answer, json!({ "user_id": "@letta:letta.test" }));
    let as_ghost = format!("{whoami}?user_id=@agent_a:letta.test");
    let (_, answer) = ask(&test, Method::GET, &as_ghost, json!({})).await;
    assert_eq!(answer, json!({ "user_id": "@agent_a:letta.test" }));
    let as_person = format!("{whoami}?user_id=@alice:letta.test");
    let (status, answer) = ask(&test, Method::GET, &as_person, json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["errcode"], "M_FORBIDDEN");

    let wish = json!({
        "type": "m.login.application_service",
        "identifier": { "type": "m.id.user", "user": "agent_a" },
    });
    let (status, session) = ask(&test, Method::POST, "/_matrix/client/v3/login", wish).await;
    assert_eq!(status, StatusCode::OK, "{session}");
    let device = "/_matrix/client/v3/devices/NEW?user_id=@agent_a:letta.test";
    let (status, _) = ask(&test, Method::PUT, device, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bridge_that_manages_devices_needs_no_login() {
    let test = bridged(true).await;
    let path = "/_matrix/client/v3/register";
    let mut ghost = json!({ "type": "m.login.application_service", "username": "agent_a" });
    let (_, answer) = ask(&test, Method::POST, path, ghost.clone()).await;
    assert_eq!(answer["errcode"], "M_APPSERVICE_LOGIN_UNSUPPORTED");
    ghost["inhibit_login"] = json!(true);
    assert_eq!(
        ask(&test, Method::POST, path, ghost).await.0,
        StatusCode::OK
    );
    let device = "/_matrix/client/v3/devices/NEW?user_id=@agent_a:letta.test";
    let named = json!({ "display_name": "Bridge" });
    // Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid>
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let (answered, _) = ask(&test, Method::PUT, device, named.clone()).await;
        assert_eq!(answered, status);
    }
    let whoami = "/_matrix/client/v3/account/whoami?user_id=@agent_a:letta.test&device_id=NEW";
    let (_, answer) = ask(&test, Method::GET, whoami, json!({})).await;
    assert_eq!(answer["device_id"], "NEW");
    let (status, _) = ask(&test, Method::DELETE, device, json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(&test, Method::GET, device, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
