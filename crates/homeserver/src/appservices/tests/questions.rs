//! What the server asks application services, and what it makes of the answers.

use axum::routing::get;
use http::Method;

use super::*;

async fn ping(test: &TestServer, id: &str, token: &str) -> (StatusCode, Value) {
    let path = format!("/_matrix/client/v1/appservice/{id}/ping?access_token={token}");
    test.call(Method::POST, &path, json!({ "transaction_id": "ping1" }))
        .await
}

#[tokio::test]
async fn it_pings_itself_and_nobody_else() {
    let test = TestServer::start().await;
    let double = Double::default();
    let delivery = Delivery::InProcess(double.router());
    test.server
        .add_appservice(registration("br", None), delivery)
        .await
        .unwrap();
    test.server
        .add_appservice(registration("mute", None), Delivery::Http)
        .await
        .unwrap();
    let closed = registration("gone", Some("http://127.0.0.1:9"));
    test.server
        .add_appservice(closed, Delivery::Http)
        .await
        .unwrap();
    let ping = async |id: &str, token: &str| ping(&test, id, token).await;
    let (status, answer) = ping("br", "br-as").await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["duration_ms"].is_u64());
    let (status, answer) = ping("mute", "br-as").await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN"))
    );
    let (status, answer) = ping("mute", "mute-as").await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_URL_NOT_SET"))
    );
    let (status, answer) = ping("gone", "gone-as").await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::BAD_GATEWAY, &json!("M_CONNECTION_FAILED"))
    );
    assert!(
        !answer.to_string().contains("gone-hs"),
        "the token is not shown: {answer}"
    );
    test.server.close().await;
}

#[tokio::test]
async fn a_ping_that_fails_says_how() {
    let test = TestServer::start().await;
    let broken = post(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") });
    let silent = post(std::future::pending::<StatusCode>);
    for (id, answer) in [("broken", broken), ("silent", silent)] {
        let router = Router::new().route("/_matrix/app/v1/ping", answer);
        test.server
            .add_appservice(registration(id, None), Delivery::InProcess(router))
            .await
            .unwrap();
    }
    let (status, answer) = ping(&test, "broken", "broken-as").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{answer}");
    assert_eq!(answer["errcode"], "M_BAD_STATUS");
    assert_eq!(
        (&answer["status"], &answer["body"]),
        (&json!(418), &json!("short and stout"))
    );
    // Nobody waits for real.
    tokio::time::pause();
    let (status, answer) = ping(&test, "silent", "silent-as").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{answer}");
    assert_eq!(answer["errcode"], "M_CONNECTION_TIMEOUT");
}

/// An application service that makes its users when it is asked for them, and counts the questions.
async fn maker(test: &TestServer, asked: Arc<Mutex<Vec<String>>>) {
    let bridge = test.with_token("brbot", "br-as");
    let make = move |Path(user): Path<String>| async move {
        asked.lock().unwrap().push(user.clone());
        let ghost = UserId::parse(user).unwrap();
        if ghost.localpart() == "br_nobody" {
            return StatusCode::NOT_FOUND;
        }
        let new = json!({
            "type": "m.login.application_service", "username": ghost.localpart(), "inhibit_login": true,
        });
        bridge.post("/_matrix/client/v3/register", new).await;
        let path = format!("/_matrix/client/v3/profile/{ghost}/displayname?user_id={ghost}");
        bridge.put(&path, json!({ "displayname": "Made" })).await;
        StatusCode::OK
    };
    let router = Router::new()
        .route("/_matrix/app/v1/users/{id}", get(make))
        .route(
            "/_matrix/app/v1/transactions/{id}",
            put(|| async { Json(json!({})) }),
        );
    test.server
        .add_appservice(registration("br", None), Delivery::InProcess(router))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_of_its_namespace_is_made_when_somebody_invites_or_looks_at_them() {
    let test = TestServer::start().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    maker(&test, asked.clone()).await;
    let alice = test.person("alice").await;
    let profile = "/_matrix/client/v3/profile/@br_seen:letta.test";
    assert_eq!(alice.get(profile).await["displayname"], "Made");
    let body = json!({ "invite": ["@br_first:letta.test"] });
    let made = alice.post("/_matrix/client/v3/createRoom", body).await;
    let room = format!(
        "/_matrix/client/v3/rooms/{}",
        made["room_id"].as_str().unwrap()
    );
    let invite = format!("{room}/invite");
    // Whom the application service does not know is invited all the same, as Tuwunel does.
    for name in ["br_second", "br_nobody", "br_seen", "bob"] {
        let user = ghost(name);
        alice.post(&invite, json!({ "user_id": user })).await;
    }
    let state = |name: &str| format!("{room}/state/m.room.member/{}", ghost(name));
    assert_eq!(alice.get(&state("br_first")).await["displayname"], "Made");
    assert_eq!(alice.get(&state("br_second")).await["displayname"], "Made");
    let nobody = "/_matrix/client/v3/profile/@br_nobody:letta.test";
    let (status, _) = alice.call(Method::GET, nobody, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let names = ["br_seen", "br_first", "br_second", "br_nobody", "br_nobody"];
    let names: Vec<_> = names.map(|name| ghost(name).to_string()).into();
    assert_eq!(
        *asked.lock().unwrap(),
        names,
        "who is known is not asked for"
    );
    // It knows its own users: it is not asked when it invites one itself.
    let bridge = test.with_token("brbot", "br-as");
    let body = json!({ "invite": ["@br_own:letta.test"] });
    bridge.post("/_matrix/client/v3/createRoom", body).await;
    assert_eq!(asked.lock().unwrap().len(), names.len());
}
