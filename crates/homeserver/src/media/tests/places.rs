//! Places that are reserved for files that come later.

use super::*;

#[tokio::test]
async fn a_place_is_reserved_waited_for_and_filled_once() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let created = alice.post("/_matrix/media/v1/create", json!({})).await;
    assert!(created["unused_expires_at"].is_number());
    let file = created["content_uri"]
        .as_str()
        .unwrap()
        .replacen("mxc://", "", 1);
    let early = get(&test, &alice, &format!("download/{file}?timeout_ms=10")).await;
    assert_eq!(
        (early.status, &*early.code()),
        (StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED")
    );

    let path = format!("/_matrix/media/v3/upload/{file}");
    let put = |who: &TestUser| {
        request(who, Method::PUT, &path).header(header::CONTENT_TYPE, "text/plain")
    };
    let foreign = ask(&test, put(&bob), b"mine".to_vec()).await;
    assert_eq!(
        (foreign.status, &*foreign.code()),
        (StatusCode::FORBIDDEN, "M_FORBIDDEN")
    );
    let waiting = format!("download/{file}?timeout_ms=20000");
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask(&test, put(&alice), b"here it is".to_vec()).await
    };
    let (came, filled) = tokio::join!(get(&test, &bob, &waiting), later);
    assert_eq!(filled.status, StatusCode::OK);
    assert_eq!(came.bytes, b"here it is");
    let again = ask(&test, put(&alice), b"another".to_vec()).await;
    assert_eq!(
        (again.status, &*again.code()),
        (StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA")
    );

    for _ in 0..test.server.config.media.max_pending_media_uploads {
        alice.post("/_matrix/media/v1/create", json!({})).await;
    }
    let (status, answer) = alice
        .call(Method::POST, "/_matrix/media/v1/create", json!({}))
        .await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("M_LIMIT_EXCEEDED"))
    );
}

#[tokio::test]
async fn a_place_that_is_not_filled_is_given_up() {
    let expire = |config: &mut crate::Config| {
        config.media.media_create_unused_expiration_time = Duration::ZERO;
    };
    let test = TestServer::start_with(expire).await;
    let alice = test.person("alice").await;
    for _ in 0..test.server.config.media.max_pending_media_uploads + 2 {
        alice.post("/_matrix/media/v1/create", json!({})).await;
    }
    let created = alice.post("/_matrix/media/v1/create", json!({})).await;
    let file = created["content_uri"]
        .as_str()
        .unwrap()
        .replacen("mxc://", "", 1);
    assert_eq!(
        get(&test, &alice, &format!("download/{file}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn media_reservations_per_user_are_limited() {
    let slow = |config: &mut crate::Config| {
        config.media.max_pending_media_uploads = 100;
        config.media.media_rc_create_per_second = 0;
        config.media.media_rc_create_burst_count = 2;
    };
    let test = TestServer::start_with(slow).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let create = "/_matrix/media/v1/create";
    alice.post(create, json!({})).await;
    alice.post(create, json!({})).await;
    let (status, _) = alice.call(Method::POST, create, json!({})).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    bob.post(create, json!({})).await;
}
