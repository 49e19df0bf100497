//! Files through the API: what goes up comes down unchanged, harmless and small if asked.

use std::{io::Cursor, time::Duration};

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::testing::{Person, TestServer};

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        body["errcode"].as_str().unwrap().to_owned()
    }
}

async fn ask(test: &TestServer, request: http::request::Builder, body: Vec<u8>) -> Answer {
    let request = request.body(Body::from(body)).unwrap();
    let response = test.server.router().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec();
    Answer {
        status,
        headers,
        bytes,
    }
}

fn request(who: &Person, method: Method, path: &str) -> http::request::Builder {
    let token = format!("Bearer {}", who.token);
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, token)
}

async fn get(test: &TestServer, who: &Person, path: &str) -> Answer {
    let path = format!("/_matrix/client/v1/media/{path}");
    ask(test, request(who, Method::GET, &path), Vec::new()).await
}

/// Uploads a file, and gives its `server/id`.
async fn upload(test: &TestServer, who: &Person, kind: &str, bytes: Vec<u8>) -> String {
    let path = "/_matrix/media/v3/upload?filename=a%20file.bin";
    let request = request(who, Method::POST, path).header(header::CONTENT_TYPE, kind);
    let answer = ask(test, request, bytes).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
    body["content_uri"]
        .as_str()
        .unwrap()
        .replacen("mxc://", "", 1)
}

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7])
    });
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut Cursor::new(&mut bytes), format)
        .unwrap();
    bytes
}

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
async fn thumbnails_have_the_sizes_of_the_specification() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for (format, kind, thumbnail_kind) in [
        (ImageFormat::Png, "image/png", "image/png"),
        (ImageFormat::Jpeg, "image/jpeg", "image/jpeg"),
        (ImageFormat::Gif, "image/gif", "image/png"),
        (ImageFormat::WebP, "image/webp", "image/png"),
    ] {
        let file = upload(&test, &alice, kind, picture(1000, 500, format)).await;
        for (query, size) in [
            ("width=20&height=30&method=crop", (32, 32)),
            ("width=96&height=96&method=crop", (96, 96)),
            ("width=300&height=200&method=scale", (320, 160)),
            ("width=5000&height=5000", (800, 400)),
        ] {
            // The second time it comes from disk.
            for _ in 0..2 {
                let small = get(&test, &alice, &format!("thumbnail/{file}?{query}")).await;
                assert_eq!(small.status, StatusCode::OK, "{kind} {query}");
                assert_eq!(small.header("content-type"), thumbnail_kind);
                assert!(small.header("content-disposition").starts_with("inline"));
                let small = image::load_from_memory(&small.bytes).unwrap();
                assert_eq!((small.width(), small.height()), size, "{kind} {query}");
            }
        }
    }
    let tiny = picture(10, 10, ImageFormat::Png);
    let file = upload(&test, &alice, "image/png", tiny.clone()).await;
    let same = get(
        &test,
        &alice,
        &format!("thumbnail/{file}?width=96&height=96"),
    )
    .await;
    assert_eq!(same.bytes, tiny);
}

/// A PNG that says it is huge, in a few bytes.
fn bomb() -> Vec<u8> {
    let mut bytes = picture(4, 4, ImageFormat::Png);
    bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_hostile_picture_is_refused_and_still_a_file() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let whole = picture(500, 500, ImageFormat::Png);
    for (bytes, status, code) in [
        (bomb(), StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
        (
            whole[..whole.len() / 2].to_vec(),
            StatusCode::BAD_REQUEST,
            "M_UNKNOWN",
        ),
        (b"no picture".to_vec(), StatusCode::BAD_REQUEST, "M_UNKNOWN"),
        (Vec::new(), StatusCode::BAD_REQUEST, "M_UNKNOWN"),
    ] {
        let file = upload(&test, &alice, "image/png", bytes.clone()).await;
        let refused = get(
            &test,
            &alice,
            &format!("thumbnail/{file}?width=96&height=96"),
        )
        .await;
        assert_eq!((refused.status, &*refused.code()), (status, code));
        assert_eq!(
            get(&test, &alice, &format!("download/{file}")).await.bytes,
            bytes
        );
    }
    let file = upload(&test, &alice, "image/png", whole).await;
    for thin in [(200_000, 1), (1, 200_000)] {
        let thin = picture(thin.0, thin.1, ImageFormat::Png);
        let thin = upload(&test, &alice, "image/png", thin).await;
        for (fit, area) in [("crop", 96 * 96), ("scale", 96)] {
            let path = format!("thumbnail/{thin}?width=96&height=96&method={fit}");
            let small = get(&test, &alice, &path).await;
            let small = image::load_from_memory(&small.bytes).unwrap();
            assert_eq!(small.width() * small.height(), area);
        }
    }
    let drawing = upload(&test, &alice, "image/svg+xml", b"<svg/>".to_vec()).await;
    let path = format!("thumbnail/{drawing}?width=96&height=96");
    let as_it_is = get(&test, &alice, &path).await;
    assert_eq!(as_it_is.bytes, b"<svg/>");
    assert!(
        as_it_is
            .header("content-disposition")
            .starts_with("attachment")
    );
    let nothing = get(&test, &alice, &format!("thumbnail/{file}?width=0&height=9")).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
}

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
    let put =
        |who: &Person| request(who, Method::PUT, &path).header(header::CONTENT_TYPE, "text/plain");
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

/// A page with a picture, one that leads to it, and one that leads to where nobody may go.
async fn site() -> String {
    use axum::{response::Redirect, routing::get};
    let page = "<head><title>A page</title><meta property='og:image' content='/picture.png'>";
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let png = [(header::CONTENT_TYPE, "image/png")];
    let router = axum::Router::new()
        .route("/page", get(move || async move { (html, page) }))
        .route(
            "/picture.png",
            get(move || async move { (png, picture(30, 20, ImageFormat::Png)) }),
        )
        .route("/moved", get(|| async { Redirect::permanent("/page") }))
        .route(
            "/out",
            get(|| async { Redirect::permanent("http://localhost/page") }),
        )
        .route("/round", get(|| async { Redirect::permanent("/round") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_link_is_previewed_where_it_is_allowed() {
    let allow = |config: &mut crate::Config| {
        config.outbound.url_preview_domain_explicit_allowlist = vec!["127.0.0.1".to_owned()];
    };
    let site = site().await;
    let path = |page: &str| format!("/_matrix/client/v1/media/preview_url?url={site}/{page}");
    // Allowed by its name, and yet on a forbidden network.
    let guarded = TestServer::start_with(allow).await;
    let alice = guarded.person("alice").await;
    let (status, _) = alice.call(Method::GET, &path("page"), json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);

    let test = TestServer::start_with(|config| {
        allow(config);
        config.outbound.ip_range_denylist.clear();
    })
    .await;
    let alice = test.person("alice").await;
    for page in ["page", "moved"] {
        let preview = alice.get(&path(page)).await;
        assert_eq!(preview["og:title"], "A page");
        assert_eq!(
            (&preview["og:image:width"], &preview["og:image:height"]),
            (&json!(30), &json!(20))
        );
        let file = preview["og:image"]
            .as_str()
            .unwrap()
            .replacen("mxc://", "", 1);
        let kept = get(&test, &alice, &format!("download/{file}")).await;
        assert_eq!(kept.bytes, picture(30, 20, ImageFormat::Png));
    }
    let (status, _) = alice.call(Method::GET, &path("out"), json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = alice.call(Method::GET, &path("round"), json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn nobody_reserves_places_without_end() {
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
