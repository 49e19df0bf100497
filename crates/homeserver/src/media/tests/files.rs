//! Files up and down: what they are served as, and how large they may be.

use super::*;

#[tokio::test]
async fn a_file_comes_back_as_it_went_up_and_outlives_a_restart() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = upload(&test, &alice, "application/zip", bytes.clone()).await;
    let came = get(&test, &alice, &format!("download/{file}")).await;
    assert_eq!((came.status, &came.bytes), (StatusCode::OK, &bytes));
    assert_eq!(came.header("content-type"), "application/zip");
    assert_eq!(
        came.header("content-disposition"),
        "attachment; filename=\"a file.bin\""
    );
    assert_eq!(came.header("x-content-type-options"), "nosniff");
    assert_eq!(came.header("cross-origin-resource-policy"), "cross-origin");
    assert!(
        came.header("content-security-policy")
            .starts_with("sandbox;")
    );
    assert!(came.header("cache-control").contains("immutable"));
    let named = get(&test, &alice, &format!("download/{file}/other.zip")).await;
    assert_eq!(
        named.header("content-disposition"),
        "attachment; filename=other.zip"
    );

    let legacy = format!("/_matrix/media/v3/download/{file}");
    let anybody = ask(&test, Request::builder().uri(&legacy), Vec::new()).await;
    assert_eq!(
        (anybody.status, &*anybody.code()),
        (StatusCode::NOT_FOUND, "M_NOT_FOUND")
    );
    for other in [
        "download/other.test/abc",
        "download/letta.test/unknown",
        "download/letta.test/..%2F..%2FCURRENT",
    ] {
        let missing = get(&test, &alice, other).await;
        assert_eq!(
            (missing.status, &*missing.code()),
            (StatusCode::NOT_FOUND, "M_NOT_FOUND"),
            "{other}"
        );
        assert_eq!(missing.header("cache-control"), "");
    }
    let stranger = Request::builder().uri(format!("/_matrix/client/v1/media/download/{file}"));
    assert_eq!(
        ask(&test, stranger, Vec::new()).await.status,
        StatusCode::UNAUTHORIZED
    );

    let token = alice.token.clone();
    drop(alice);
    let test = test.restart().await;
    let again = Request::builder()
        .uri(format!("/_matrix/client/v1/media/download/{file}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    assert_eq!(ask(&test, again, Vec::new()).await.bytes, bytes);
}

#[tokio::test]
async fn only_what_is_safe_is_shown_in_a_browser() {
    let test = TestServer::start_with(|config| config.media.allow_legacy_media = true).await;
    let alice = test.person("alice").await;
    for (kind, how) in [
        ("image/png", "inline"),
        ("IMAGE/PNG", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("video/mp4", "inline"),
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/javascript", "attachment"),
        ("nonsense", "attachment"),
    ] {
        let file = upload(&test, &alice, kind, b"<script>".to_vec()).await;
        let legacy = format!("/_matrix/media/v3/download/{file}");
        let came = ask(&test, Request::builder().uri(&legacy), Vec::new()).await;
        assert_eq!(came.status, StatusCode::OK);
        assert!(
            came.header("content-disposition").starts_with(how),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_file_has_a_largest_size_that_clients_are_told() {
    let small =
        |config: &mut crate::Config| config.listen.max_request_size = crate::config::Bytes(1000);
    let test = TestServer::start_with(small).await;
    let alice = test.person("alice").await;
    for path in [
        "/_matrix/client/v1/media/config",
        "/_matrix/media/v3/config",
    ] {
        assert_eq!(alice.get(path).await["m.upload.size"], 1000);
    }
    let upload = request(&alice, Method::POST, "/_matrix/media/v3/upload");
    let refused = ask(&test, upload, vec![0; 1001]).await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE")
    );
}
