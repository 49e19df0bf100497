//! Making accounts: closed, by token, open, as a guest, by script.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

const REGISTER: &str = "/_matrix/client/v3/register";

async fn register(test: &TestServer, body: Value) -> (StatusCode, Value) {
    test.call(Method::POST, REGISTER, body).await
}

#[tokio::test]
async fn somebody_registers_with_a_token_in_two_steps() {
    let test = server().await;
    let mut wish = json!({ "username": "Alice", "password": "secret", "device_id": "PHONE" });
    let (status, answer) = register(&test, wish.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer["flows"],
        json!([{ "stages": ["m.login.registration_token"] }])
    );
    let session = answer["session"].clone();

    let token = |token: &str, session: &Value| json!({ "type": "m.login.registration_token", "token": token, "session": session });
    wish["auth"] = token("wrong", &session);
    let (status, answer) = register(&test, wish.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_UNAUTHORIZED");
    assert_eq!(answer["session"], session);

    wish["auth"] = token(TOKEN, &json!("nobody's session"));
    let (status, answer) = register(&test, wish.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_ne!(answer["session"], "nobody's session");

    wish["auth"] = token(TOKEN, &session);
    let (status, answer) = register(&test, wish.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["user_id"], "@alice:letta.test");
    assert_eq!(answer["device_id"], "PHONE");
    let (_, who) = whoami(&test, &answer["access_token"]).await;
    assert_eq!(
        who,
        json!({ "user_id": "@alice:letta.test", "device_id": "PHONE" })
    );

    let (status, answer) = register(&test, wish).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_USER_IN_USE"))
    );
    let (_, profile) = test
        .call(
            Method::GET,
            "/_matrix/client/v3/profile/@alice:letta.test",
            json!({}),
        )
        .await;
    assert_eq!(profile, json!({ "displayname": "alice" }));
}

#[tokio::test]
async fn a_closed_server_registers_nobody_until_an_admin_issues_a_token() {
    let test = TestServer::start().await;
    let (status, answer) = register(&test, json!({})).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN"))
    );

    let accounts = &test.server.accounts;
    let token = accounts
        .issue_registration_token(Some(1), None)
        .await
        .unwrap();
    let path =
        format!("/_matrix/client/v1/register/m.login.registration_token/validity?token={token}");
    assert_eq!(
        test.call(Method::GET, &path, json!({})).await.1,
        json!({ "valid": true })
    );
    let wish = |name: &str| {
        json!({
            "username": name, "password": "secret",
            "auth": { "type": "m.login.registration_token", "token": token },
        })
    };
    assert_eq!(register(&test, wish("alice")).await.0, StatusCode::OK);
    assert_eq!(register(&test, wish("bob")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        test.call(Method::GET, &path, json!({})).await.1,
        json!({ "valid": false })
    );
}

#[tokio::test]
async fn first_token_is_bound_to_the_admin_and_survives_other_names() {
    let test = TestServer::start().await;
    let server = &test.server;
    let admins = ["@Me:letta.test", "@other:letta.test"].map(|id| id.try_into().unwrap());
    let life = std::time::Duration::from_mins(1);
    let first = async || {
        server
            .first_registration_token(&admins, life)
            .await
            .unwrap()
    };
    // One that is good for anybody is not the one of the admin.
    let open = test.server.accounts.issue_registration_token(Some(1), None);
    let open = open.await.unwrap();
    let old = first().await.unwrap();
    assert_ne!(old, open);
    assert_eq!(
        first().await.as_ref(),
        Some(&old),
        "another start gives the same"
    );
    let renewed = server
        .renew_registration_token("me", life)
        .await
        .unwrap()
        .unwrap();
    let wish = |name: &str, token: &str| {
        json!({
            "username": name, "password": "secret",
            "auth": { "type": "m.login.registration_token", "token": token },
        })
    };
    assert_eq!(
        register(&test, wish("me", &old)).await.0,
        StatusCode::UNAUTHORIZED
    );
    for other in ["bob", "meme", "m", "other"] {
        let (status, answer) = register(&test, wish(other, &renewed)).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN"))
        );
        let why = answer["error"].as_str().unwrap();
        assert!(why.contains("register as `me`"), "{other}: {why}");
    }
    assert_eq!(register(&test, wish("bob", &open)).await.0, StatusCode::OK);
    assert!(first().await.is_some(), "the admin has no account yet");
    assert_eq!(
        register(&test, wish("ME", &renewed)).await.0,
        StatusCode::OK
    );
    assert_eq!(first().await, None);
    assert_eq!(
        server.renew_registration_token("me", life).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_open_server_asks_for_nothing_but_a_name_that_can_be_one() {
    let test = TestServer::start_with(|config| {
        let registration = &mut config.registration;
        registration.allow_registration = true;
        registration.yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse =
            true;
        registration.allow_guest_registration = true;
        registration.forbidden_usernames = serde_json::from_value(json!(["^admin"])).unwrap();
    })
    .await;
    let (status, answer) = register(&test, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["flows"], json!([{ "stages": ["m.login.dummy"] }]));

    for bad in ["white space", "", "ümlaut", "administrator", "@a:b.c"] {
        let wish = json!({ "username": bad, "password": "secret" });
        let (status, answer) = register(&test, wish).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer["errcode"], "M_INVALID_USERNAME", "{bad}");
    }
    let (_, answer) = register(
        &test,
        json!({
            "username": "bob", "password": "secret", "inhibit_login": true,
            "auth": { "type": "m.login.dummy" },
        }),
    )
    .await;
    assert_eq!(answer, json!({ "user_id": "@bob:letta.test" }));

    let (_, answer) = register(&test, json!({ "username": "conduit", "password": "x" })).await;
    assert_eq!(answer["errcode"], "M_USER_IN_USE");

    let available = |name: &str| format!("/_matrix/client/v3/register/available?username={name}");
    let (status, _) = test.call(Method::GET, &available("bob"), json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, answer) = test.call(Method::GET, &available("carol"), json!({})).await;
    assert_eq!(answer, json!({ "available": true }));

    let (status, guest) = test
        .call(Method::POST, &format!("{REGISTER}?kind=guest"), json!({}))
        .await;
    assert_eq!(status, StatusCode::OK, "{guest}");
    assert_eq!(
        whoami(&test, &guest["access_token"]).await.1["is_guest"],
        true
    );
}

#[tokio::test]
async fn a_script_registers_with_the_shared_secret() {
    let path = "/_synapse/admin/v1/register";
    let test = TestServer::start().await;
    assert_eq!(
        test.call(Method::GET, path, json!({})).await.0,
        StatusCode::NOT_FOUND
    );

    let test = TestServer::start_with(|config| {
        let secret = crate::config::Secret::new("shared");
        config.registration.registration_shared_secret = Some(secret);
    })
    .await;
    let (_, answer) = test.call(Method::GET, path, json!({})).await;
    let nonce = answer["nonce"].as_str().unwrap();
    let mac = signature(&format!("{nonce}\0alice\0secret\0notadmin"));
    let wish = json!({ "nonce": nonce, "username": "alice", "password": "secret", "mac": mac });
    let (status, answer) = test.call(Method::POST, path, wish.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        whoami(&test, &answer["access_token"]).await.0,
        StatusCode::OK
    );
    // The nonce is used up, and a wrong signature uses up another one.
    assert_eq!(
        test.call(Method::POST, path, wish.clone()).await.0,
        StatusCode::BAD_REQUEST
    );
    let (_, answer) = test.call(Method::GET, path, json!({})).await;
    let mut wrong = wish;
    wrong["nonce"] = answer["nonce"].clone();
    assert_eq!(
        test.call(Method::POST, path, wrong).await.0,
        StatusCode::FORBIDDEN
    );
}

/// The HMAC of this text with the secret `shared`, in hexadecimal digits.
fn signature(text: &str) -> String {
    use hmac::{Hmac, Mac};

    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"shared").unwrap();
    mac.update(text.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes
        .iter()
        .fold(String::new(), |mac, byte| mac + &format!("{byte:02x}"))
}

#[tokio::test]
async fn script_registers_an_admin_where_there_is_an_admin_room() {
    let path = "/_synapse/admin/v1/register";
    for has_room in [false, true] {
        let test = TestServer::start_with(|config| {
            let secret = crate::config::Secret::new("shared");
            config.registration.registration_shared_secret = Some(secret);
            config.admin.create_admin_room = has_room;
            config.admin.grant_admin_to_first_user = false;
        })
        .await;
        let (_, answer) = test.call(Method::GET, path, json!({})).await;
        let nonce = answer["nonce"].as_str().unwrap();
        let mac = signature(&format!("{nonce}\0alice\0secret\0admin"));
        let wish = json!({ "nonce": nonce, "username": "alice", "password": "secret", "mac": mac, "admin": true });
        let (status, answer) = test.call(Method::POST, path, wish).await;
        let alice = ruma::user_id!("@alice:letta.test");
        let is_admin = crate::rooms::admin_room::is_admin(&test.server.rooms, alice).unwrap();
        assert_eq!(is_admin, has_room, "{answer}");
        assert_eq!(status == StatusCode::OK, has_room, "{answer}");
        assert_eq!(test.server.accounts.exists(alice).unwrap(), has_room);
        test.server.close().await;
    }
}
