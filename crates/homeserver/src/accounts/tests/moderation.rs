//! What somebody can do who is suspended or locked, as their client sees it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

/// A server with an admin and somebody to moderate.
async fn server() -> (TestServer, TestUser, TestUser) {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let (boss, bob) = (test.person("boss").await, test.person("bob").await);
    test.server
        .operations
        .make_admin(&boss.user_id)
        .await
        .unwrap();
    (test, boss, bob)
}

async fn refused(who: &TestUser, method: Method, path: &str, body: Value) {
    let (status, answer) = who.call(method, path, body).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::FORBIDDEN, &json!("M_USER_SUSPENDED")),
        "{path}: {answer}"
    );
}

#[tokio::test]
async fn who_is_suspended_reads_and_leaves_and_takes_back_but_reaches_nobody() {
    let (_test, boss, bob) = server().await;
    let client = "/_matrix/client/v3";
    let made = bob
        .post(
            &format!("{client}/createRoom"),
            json!({ "invite": [boss.user_id] }),
        )
        .await;
    let room = format!("{client}/rooms/{}", made["room_id"].as_str().unwrap());
    boss.post(&format!("{room}/join"), json!({})).await;
    let text = json!({ "msgtype": "m.text", "body": "hm" });
    let own = bob
        .put(&format!("{room}/send/m.room.message/1"), text.clone())
        .await;
    let other = boss
        .put(&format!("{room}/send/m.room.message/1"), text.clone())
        .await;
    let later = format!("{room}/send/m.room.message/2?org.matrix.msc4140.delay=600000");
    let waits = bob.put(&later, text.clone()).await["delay_id"]
        .as_str()
        .unwrap()
        .to_owned();

    let moderated = format!("/_matrix/client/v1/admin/suspend/{}", bob.user_id);
    let (status, _) = bob.call(Method::GET, &moderated, json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    boss.put(&moderated, json!({ "suspended": true })).await;
    assert_eq!(boss.get(&moderated).await, json!({ "suspended": true }));

    let name = format!("{client}/profile/{}/displayname", bob.user_id);
    for (method, path, body) in [
        (Method::PUT, format!("{room}/send/m.room.message/3"), text),
        (
            Method::PUT,
            format!("{room}/state/m.room.topic"),
            json!({ "topic": "me" }),
        ),
        (Method::POST, format!("{client}/createRoom"), json!({})),
        (
            Method::POST,
            format!("{room}/invite"),
            json!({ "user_id": boss.user_id }),
        ),
        (Method::PUT, name, json!({ "displayname": "Bobby" })),
        (
            Method::POST,
            "/_matrix/media/v3/upload".to_owned(),
            json!({}),
        ),
    ] {
        refused(&bob, method, &path, body).await;
    }
    let redact = |event: &Value| format!("{room}/redact/{}/4", event["event_id"].as_str().unwrap());
    refused(&bob, Method::PUT, &redact(&other), json!({})).await;
    let send = format!("/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{waits}");
    refused(&bob, Method::POST, &send, json!({ "action": "send" })).await;

    bob.put(&redact(&own), json!({})).await;
    bob.get(&format!("{room}/messages?dir=b")).await;
    bob.get(&format!("{client}/sync?timeout=0")).await;
    bob.post(
        &format!("{client}/keys/query"),
        json!({ "device_keys": {} }),
    )
    .await;
    bob.post(&format!("{room}/leave"), json!({})).await;

    boss.put(&moderated, json!({ "suspended": false })).await;
    bob.post(&format!("{client}/createRoom"), json!({})).await;
}

#[tokio::test]
async fn who_is_locked_keeps_the_session_and_can_only_end_it() {
    let (_test, boss, bob) = server().await;
    let moderated = format!("/_matrix/client/v1/admin/lock/{}", bob.user_id);
    boss.put(&moderated, json!({ "locked": true })).await;
    let whoami = "/_matrix/client/v3/account/whoami";
    let (status, answer) = bob.call(Method::GET, whoami, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_USER_LOCKED");
    assert_eq!(answer["soft_logout"], true);
    boss.put(&moderated, json!({ "locked": false })).await;
    bob.get(whoami).await;
    boss.put(&moderated, json!({ "locked": true })).await;
    bob.post("/_matrix/client/v3/logout", json!({})).await;
    let (_, answer) = bob.call(Method::GET, whoami, json!({})).await;
    assert_eq!(answer["errcode"], "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn admins_see_that_they_may_and_do_not_moderate_each_other() {
    let (_test, boss, bob) = server().await;
    let capabilities = "/_matrix/client/v3/capabilities";
    let may = boss.get(capabilities).await["capabilities"]["m.account_moderation"].clone();
    assert_eq!(may, json!({ "suspend": true, "lock": true }));
    assert!(
        bob.get(capabilities).await["capabilities"]
            .get("m.account_moderation")
            .is_none()
    );
    let own = format!("/_matrix/client/v1/admin/lock/{}", boss.user_id);
    let (status, _) = boss
        .call(Method::PUT, &own, json!({ "locked": true }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let nobody = "/_matrix/client/v1/admin/suspend/@nobody:letta.test";
    let (status, _) = boss.call(Method::GET, nobody, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
