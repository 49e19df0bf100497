//! How much room files can take, and what is refused beyond it.

use std::path::Path;

use super::*;
use crate::{
    config::Bytes,
    limits::{CONTENT_TYPE_MAX_BYTES, FILE_NAME_MAX_BYTES},
};

/// The quota of each user in these tests, in bytes.
const OWN: u64 = 1_000;
/// The quota of all users together.
const TOTAL: u64 = 1_500;

async fn server() -> TestServer {
    TestServer::start_with(|config| {
        config.media.media_quota_per_user = Bytes(OWN);
        config.media.media_quota_total = Bytes(TOTAL);
    })
    .await
}

async fn try_upload(test: &TestServer, who: &TestUser, bytes: u64) -> Answer {
    let path = "/_matrix/media/v3/upload";
    let request = request(who, Method::POST, path).header(header::CONTENT_TYPE, "text/plain");
    let bytes = usize::try_from(bytes).unwrap();
    ask(test, request, vec![b'x'; bytes]).await
}

async fn taken(test: &TestServer, who: &TestUser, bytes: u64) -> String {
    let answer = try_upload(test, who, bytes).await;
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{body}");
    let uri = body["content_uri"].as_str().unwrap();
    uri.rsplit('/').next().unwrap().to_owned()
}

async fn refused(test: &TestServer, who: &TestUser, bytes: u64, key: &str) {
    let answer = try_upload(test, who, bytes).await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (StatusCode::FORBIDDEN, "M_FORBIDDEN")
    );
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
    let words = body["error"].as_str().unwrap();
    assert!(words.contains(key), "it says what to do: {words}");
}

/// How many files are under a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            _ => 1,
        })
        .sum()
}

#[tokio::test]
async fn full_quota_refuses_and_deleting_gives_room_back() {
    let test = server().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let first = taken(&test, &alice, OWN - 1).await;
    taken(&test, &alice, 1).await;
    refused(&test, &alice, 1, "media_quota_per_user").await;
    taken(&test, &bob, TOTAL - OWN).await;
    refused(&test, &bob, 1, "media_quota_total").await;
    let folder = test.server.config.database.database_path.join("media");
    assert_eq!(files(&folder), 3, "nothing of what was refused stays");

    // The sums are those of the rows: a restart changes nothing.
    let (hers, his) = (alice.token.clone(), bob.token.clone());
    drop((alice, bob));
    let test = test.restart().await;
    let (alice, bob) = (
        test.with_token("alice", &hers),
        test.with_token("bob", &his),
    );
    refused(&test, &alice, 1, "media_quota_per_user").await;
    refused(&test, &bob, 1, "media_quota_total").await;
    assert!(test.server.media.delete(&first).await.unwrap());
    assert!(!test.server.media.delete(&first).await.unwrap());
    refused(&test, &alice, OWN, "media_quota_per_user").await;
    taken(&test, &alice, OWN - 1).await;
    refused(&test, &bob, 1, "media_quota_total").await;
}

#[tokio::test]
async fn reserved_places_count_once_they_are_filled() {
    let test = server().await;
    let alice = test.person("alice").await;
    let reserved = alice.post("/_matrix/media/v1/create", json!({})).await;
    let uri = reserved["content_uri"].as_str().unwrap();
    let path = uri.replacen("mxc://", "/_matrix/media/v3/upload/", 1);
    let fill = |bytes: u64| {
        let request = request(&alice, Method::PUT, &path);
        let bytes = vec![b'x'; usize::try_from(bytes).unwrap()];
        ask(&test, request, bytes)
    };
    assert_eq!(fill(OWN + 1).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fill(OWN).await.status, StatusCode::OK);
    refused(&test, &alice, 1, "media_quota_per_user").await;
}

#[tokio::test]
async fn uploads_at_the_same_time_do_not_pass_the_quota_together() {
    let test = server().await;
    let alice = test.person("alice").await;
    let uploads = (0..8).map(|_| try_upload(&test, &alice, 400));
    let answers = futures_util::future::join_all(uploads).await;
    let taken = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK);
    assert_eq!(taken.count(), 2);
}

#[tokio::test]
async fn application_service_that_is_not_limited_fills_the_total_only() {
    let test = server().await;
    let yaml =
        "id: br\nurl: null\nas_token: br\nhs_token: hs\nsender_localpart: br\nnamespaces: {}";
    let registration = crate::config::AppserviceRegistration::from_yaml(yaml).unwrap();
    test.server
        .add_appservice(registration, crate::appservices::Delivery::Http)
        .await
        .unwrap();
    let bridge = test.with_token("br", "br");
    taken(&test, &bridge, OWN + 1).await;
    refused(&test, &bridge, TOTAL - OWN, "media_quota_total").await;
}

#[tokio::test]
async fn zero_is_no_quota() {
    let test = TestServer::start_with(|config| {
        config.media.media_quota_per_user = Bytes(0);
        config.media.media_quota_total = Bytes(0);
    })
    .await;
    let alice = test.person("alice").await;
    taken(&test, &alice, TOTAL).await;
}

#[tokio::test]
async fn names_of_files_have_a_largest_size() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for (name, kind, status) in [
        (FILE_NAME_MAX_BYTES, CONTENT_TYPE_MAX_BYTES, StatusCode::OK),
        (FILE_NAME_MAX_BYTES + 1, 1, StatusCode::BAD_REQUEST),
        (1, CONTENT_TYPE_MAX_BYTES + 1, StatusCode::BAD_REQUEST),
    ] {
        let path = format!("/_matrix/media/v3/upload?filename={}", "x".repeat(name));
        let kind = "x".repeat(kind);
        let request = request(&alice, Method::POST, &path).header(header::CONTENT_TYPE, kind);
        let answer = ask(&test, request, vec![b'x']).await;
        assert_eq!(answer.status, status);
        if status != StatusCode::OK {
            assert_eq!(answer.code(), "M_INVALID_PARAM");
        }
    }
}

#[tokio::test]
async fn files_of_erased_user_are_deleted_and_of_others_stay() {
    use crate::operations::deactivate::SentContent;
    let test = server().await;
    let folder = test.server.config.database.database_path.join("media");
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let his = taken(&test, &bob, 100).await;
    for (content, left) in [(SentContent::Erased, 0), (SentContent::Kept, 2)] {
        let who = test.person(&format!("{content:?}").to_lowercase()).await;
        let hers = [taken(&test, &who, 100).await, taken(&test, &who, 100).await];
        let ended = test
            .server
            .operations
            .deactivate(&who.user_id, content, None);
        ended.await.unwrap();
        let there = |id: &String| test.server.media.file_record(id).unwrap().is_some();
        assert_eq!(
            hers.iter().filter(|id| there(id)).count(),
            left,
            "{content:?}"
        );
        for id in &hers {
            let path = format!("download/letta.test/{id}");
            let status = get(&test, &alice, &path).await.status;
            assert_eq!(status == StatusCode::OK, left > 0, "{content:?}");
        }
    }
    let path = format!("download/letta.test/{his}");
    assert_eq!(get(&test, &alice, &path).await.status, StatusCode::OK);
    assert_eq!(files(&folder), 3, "no bytes stay behind");
}
