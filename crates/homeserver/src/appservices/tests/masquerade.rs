//! Application services in the place of their users: what works, and with which words the rest is refused.

use http::Method;

use super::*;
use crate::testing::TestUser;

async fn bridged(test: &TestServer) -> TestUser {
    test.server
        .add_appservice(registration("br", None), Delivery::Http)
        .await
        .unwrap();
    test.with_token("brbot", "br-as")
}

async fn refused(bridge: &TestUser, method: Method, path: &str, status: StatusCode, code: &str) {
    let (answered, answer) = bridge.call(method, path, json!({ "body": "x" })).await;
    assert_eq!(
        (answered, &answer["errcode"]),
        (status, &json!(code)),
        "{path}: {answer}"
    );
}

#[tokio::test]
async fn it_acts_as_whom_it_names_in_its_namespace_and_as_nobody_else() {
    let test = TestServer::start().await;
    let (bridge, alice) = (bridged(&test).await, test.person("alice").await);
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(bridge.get(whoami).await["user_id"], "@brbot:letta.test");
    let (status, answer) = test
        .call(
            Method::GET,
            &format!("{whoami}?access_token=br-as"),
            json!({}),
        )
        .await;
    assert_eq!(
        (status, &answer["user_id"]),
        (StatusCode::OK, &json!("@brbot:letta.test"))
    );
    let (bad, forbidden) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN);
    for (query, status, code) in [
        ("@alice:letta.test", forbidden, "M_FORBIDDEN"),
        ("@br_one:elsewhere.test", forbidden, "M_FORBIDDEN"),
        ("br_one", bad, "M_INVALID_USERNAME"),
        ("@br_one:letta.test&device_id=NONE", bad, "M_UNKNOWN_DEVICE"),
        (
            "@br_one:letta.test&org.matrix.msc3202.device_id=NONE",
            bad,
            "M_UNKNOWN_DEVICE",
        ),
    ] {
        let path = format!("{whoami}?user_id={query}");
        refused(&bridge, Method::GET, &path, status, code).await;
    }
    // A person cannot be anybody else.
    let answer = alice
        .get(&format!("{whoami}?user_id=@br_one:letta.test"))
        .await;
    assert_eq!(answer["user_id"], "@alice:letta.test");

    let login = json!({
        "type": "m.login.application_service", "device_id": "HERE",
        "identifier": { "type": "m.id.user", "user": "br_two" },
    });
    let two = json!({ "type": "m.login.application_service", "username": "br_two", "inhibit_login": true });
    bridge.post("/_matrix/client/v3/register", two).await;
    bridge.post("/_matrix/client/v3/login", login).await;
    for name in ["device_id", "org.matrix.msc3202.device_id"] {
        let as_device = format!("{whoami}?user_id=@br_two:letta.test&{name}=HERE");
        assert_eq!(bridge.get(&as_device).await["device_id"], "HERE");
    }
    let upload = "/_matrix/client/v3/keys/upload?user_id=@br_two:letta.test";
    refused(
        &bridge,
        Method::POST,
        upload,
        StatusCode::FORBIDDEN,
        "M_FORBIDDEN",
    )
    .await;
}

#[tokio::test]
async fn users_that_nobody_registered_do_all_that_users_do() {
    let test = TestServer::start().await;
    let bridge = bridged(&test).await;
    let (one, two) = ("user_id=@br_one:letta.test", "user_id=@br_two:letta.test");
    let name = "/_matrix/client/v3/profile/@br_one:letta.test/displayname";
    bridge
        .put(&format!("{name}?{one}"), json!({ "displayname": "One" }))
        .await;
    bridge
        .put(name, json!({ "displayname": "One, by the bot" }))
        .await;
    let path = format!("/_matrix/client/v3/createRoom?{one}");
    let made = bridge.post(&path, json!({ "preset": "public_chat" })).await;
    let room = made["room_id"].as_str().unwrap();
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let send = |user: &str| format!("{rooms}/send/m.room.message/same?{user}");
    refused(
        &bridge,
        Method::PUT,
        &send(two),
        StatusCode::FORBIDDEN,
        "M_FORBIDDEN",
    )
    .await;
    bridge
        .post(&format!("/_matrix/client/v3/join/{room}?{two}"), json!({}))
        .await;
    let said = bridge.put(&send(one), json!({ "body": "one" })).await;
    let other = bridge.put(&send(two), json!({ "body": "two" })).await;
    let again = bridge.put(&send(one), json!({ "body": "one" })).await;
    assert_ne!(said, other, "each user has transaction ids of its own");
    assert_eq!(said, again);
    let member = format!("{rooms}/state/m.room.member/@br_one:letta.test?{one}");
    assert_eq!(bridge.get(&member).await["displayname"], "One, by the bot");
    let new = json!({ "type": "m.login.application_service", "username": "br_one", "inhibit_login": true });
    let registered = bridge.post("/_matrix/client/v3/register", new).await;
    assert_eq!(registered["user_id"], "@br_one:letta.test");
}

#[tokio::test]
async fn it_says_when_things_happened_and_people_do_not() {
    let test = TestServer::start().await;
    let (bridge, alice) = (bridged(&test).await, test.person("alice").await);
    let room = room(&test.server, &ghost("brbot")).await;
    let join = membership(&alice.user_id, &alice.user_id, "join");
    add(&test.server, &room, join).await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let time = async |person: &TestUser, event: &Value| {
        let path = format!("{rooms}/event/{}", event["event_id"].as_str().unwrap());
        person.get(&path).await["origin_server_ts"]
            .as_u64()
            .unwrap()
    };
    let send = |name: &str, ts: &str| format!("{rooms}/send/m.room.message/{name}?ts={ts}");
    let body = json!({ "body": "then" });
    let said = bridge.put(&send("past", "1000"), body.clone()).await;
    assert_eq!(time(&bridge, &said).await, 1000);
    let state = format!("{rooms}/state/org.example/?ts=4102444800000");
    let set = bridge.put(&state, body.clone()).await;
    assert_eq!(time(&bridge, &set).await, 4_102_444_800_000);
    let said = alice.put(&send("now", "1000"), body.clone()).await;
    assert!(time(&alice, &said).await > 1000);
    for wrong in ["-1", "yesterday"] {
        refused(
            &bridge,
            Method::PUT,
            &send(wrong, wrong),
            StatusCode::BAD_REQUEST,
            "M_INVALID_PARAM",
        )
        .await;
    }
}

#[tokio::test]
async fn it_keeps_to_the_pace_of_people_only_if_its_registration_says_so() {
    let test = TestServer::start_with(|config| config.media.media_rc_create_burst_count = 1).await;
    let free = bridged(&test).await;
    let yaml = "id: slow\nurl: null\nas_token: s\nhs_token: b\nsender_localpart: slow\nrate_limited: true\nnamespaces: {}";
    let slow = AppserviceRegistration::from_yaml(yaml).unwrap();
    test.server
        .add_appservice(slow, Delivery::Http)
        .await
        .unwrap();
    let slow = test.with_token("slow", "s");
    let path = "/_matrix/media/v1/create";
    for _ in 0..3 {
        free.post(path, json!({})).await;
    }
    slow.post(path, json!({})).await;
    refused(
        &slow,
        Method::POST,
        path,
        StatusCode::TOO_MANY_REQUESTS,
        "M_LIMIT_EXCEEDED",
    )
    .await;
}
