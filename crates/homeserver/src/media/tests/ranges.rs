//! Parts of files, files that the client has already, and files that never end.

use bytes::Bytes;
use futures_util::stream;

use super::*;

fn download(who: &TestUser, file: &str) -> http::request::Builder {
    let path = format!("/_matrix/client/v1/media/download/{file}");
    request(who, Method::GET, &path)
}

#[tokio::test]
async fn a_video_is_seen_from_its_middle() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let file = upload(&test, &alice, "video/mp4", bytes.clone()).await;
    let whole = ask(&test, download(&alice, &file), Vec::new()).await;
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), "300000");
    for (range, from, to) in [
        ("bytes=100000-200000", 100_000, 200_000),
        ("bytes=299990-", 299_990, 299_999),
        ("bytes=-10", 299_990, 299_999),
        ("bytes=0-999999", 0, 299_999),
    ] {
        let part = ask(
            &test,
            download(&alice, &file).header("range", range),
            Vec::new(),
        )
        .await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(
            part.header("content-range"),
            format!("bytes {from}-{to}/300000")
        );
        assert_eq!(part.bytes, bytes[from..=to], "{range}");
        assert_eq!(part.header("content-type"), "video/mp4");
        assert!(
            part.header("content-security-policy")
                .starts_with("sandbox")
        );
    }
    let beyond = download(&alice, &file).header("range", "bytes=300000-");
    let beyond = ask(&test, beyond, Vec::new()).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), "bytes */300000");
    for odd in ["bytes=0-1,5-6", "lines=1-2", "bytes=x"] {
        let all = ask(
            &test,
            download(&alice, &file).header("range", odd),
            Vec::new(),
        )
        .await;
        assert_eq!(
            (all.status, all.bytes.len()),
            (StatusCode::OK, bytes.len()),
            "{odd}"
        );
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let file = upload(&test, &alice, "text/plain", b"hello".to_vec()).await;
    let other = upload(&test, &alice, "text/plain", b"other".to_vec()).await;
    let first = ask(&test, download(&alice, &file), Vec::new()).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let again = |tag: String| {
        ask(
            &test,
            download(&alice, &file).header("if-none-match", tag),
            Vec::new(),
        )
    };
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let unchanged = again(known).await;
        assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
        assert!(unchanged.bytes.is_empty());
        assert!(unchanged.header("cache-control").contains("immutable"));
    }
    let others = ask(&test, download(&alice, &other), Vec::new()).await;
    assert_eq!(
        again(others.header("etag").to_owned()).await.bytes,
        b"hello"
    );
    let resumed = |tag: &str| {
        let request = download(&alice, &file)
            .header("range", "bytes=2-")
            .header("if-range", tag);
        ask(&test, request, Vec::new())
    };
    assert_eq!(resumed(&tag).await.bytes, b"llo");
    assert_eq!(resumed("\"x\"").await.bytes, b"hello");
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_nothing() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let pieces = stream::iter([
        Ok(Bytes::from_static(b"half of")),
        Err(std::io::Error::other("the phone went into a tunnel")),
    ]);
    let request = request(&alice, Method::POST, "/_matrix/media/v3/upload");
    let request = request.body(Body::from_stream(pieces)).unwrap();
    let response = test.server.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let folder = test.server.store.path().join("media").join("unfinished");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    // What a killed server left is taken away.
    std::fs::write(folder.join("left"), b"half of").unwrap();
    drop(alice);
    let _test = test.restart().await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

/// Spec: <https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>: a range may be ignored, and of an empty file none can be said.
#[tokio::test]
async fn range_of_an_empty_file_is_all_of_it() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let file = upload(&test, &alice, "text/plain", Vec::new()).await;
    for range in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
        let asked = download(&alice, &file).header("range", range);
        let all = ask(&test, asked, Vec::new()).await;
        assert_eq!(
            (all.status, all.bytes.len()),
            (StatusCode::OK, 0),
            "{range}"
        );
    }
}
