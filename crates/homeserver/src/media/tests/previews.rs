//! Previews of links, from a site on the loopback.

use super::*;

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
