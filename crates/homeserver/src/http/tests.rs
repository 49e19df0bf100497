//! Bodies that are too long, too slow or too many, at every endpoint.

mod floods;
mod guests;
mod readers;
pub(crate) mod sockets;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::{BodyLimit, Route};
use crate::limits::JSON_MAX_BYTES_WITHOUT_TOKEN;
use crate::{
    appservices::Delivery,
    config::{AppserviceRegistration, appservice::RegistrationFile},
    testing::TestServer,
};

/// The token of an application service, which every endpoint takes that takes any.
const TOKEN: &str = "as";
/// How many bytes of a body come at a time.
const PIECE_BYTES: usize = 16 << 10;

/// A body of spaces that counts what is read of it.
struct Counted {
    left: usize,
    announced: bool,
    read: Arc<AtomicUsize>,
}

impl Counted {
    /// A body of this length, and how many bytes of it were read.
    fn body(bytes: usize, announced: bool) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let body = Self {
            left: bytes,
            announced,
            read: read.clone(),
        };
        (Body::new(body), read)
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.left.min(PIECE_BYTES);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length;
        self.read.fetch_add(length, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(vec![b' '; length].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced {
            SizeHint::with_exact(self.left.try_into().unwrap())
        } else {
            SizeHint::default()
        }
    }
}

async fn bridged() -> TestServer {
    let test = TestServer::start_with(|config| {
        config.registration.registration_shared_secret = Some(crate::config::Secret::new("x"));
    })
    .await;
    let file: RegistrationFile = serde_json::from_value(serde_json::json!({
        "id": "letta", "url": null, "as_token": TOKEN, "hs_token": "hs",
        "sender_localpart": "letta", "namespaces": {},
    }))
    .unwrap();
    let registration = AppserviceRegistration::new(file).unwrap();
    let added = test.server.add_appservice(registration, Delivery::Http);
    added.await.unwrap();
    test
}

/// Asks a route with a body; gives the status and the code of the error.
async fn ask(
    router: axum::Router,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: Body,
) -> (StatusCode, String) {
    let path: Vec<_> = path
        .split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part })
        .collect();
    let mut request = Request::builder().method(method).uri(path.join("/"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = answer["errcode"].as_str().unwrap_or_default().to_owned();
    (status, code)
}

/// All routes that are wrong about a body that is one byte too long.
async fn wrong_about_too_long(
    test: &TestServer,
    token: Option<&str>,
    announced: bool,
) -> Vec<String> {
    let (router, mut wrong) = (test.server.router(), Vec::new());
    let max = test.server.config.listen.max_request_size.as_len();
    for Route {
        method, path, body, ..
    } in crate::api::routes().table()
    {
        if *body == BodyLimit::File && !announced {
            // Its handler may refuse it for another reason, after any part of it.
            continue;
        }
        let limit = body.bytes(token.is_some(), max);
        let (sent, read) = Counted::body(limit + 1, announced);
        let (status, code) = ask(router.clone(), method, path, token, sent).await;
        let read = read.load(Ordering::SeqCst);
        let needs_token = token.is_none() && status == StatusCode::UNAUTHORIZED && read == 0;
        let refused = status == StatusCode::PAYLOAD_TOO_LARGE && code == "M_TOO_LARGE";
        let read_max = if announced { 0 } else { limit + PIECE_BYTES };
        if read > read_max || !(refused || needs_token) {
            wrong.push(format!("{method} {path}: {status} {code}, {read} read"));
        }
    }
    wrong
}

#[test]
fn limits_are_those_that_are_promised() {
    let mut exceptions = Vec::new();
    for Route {
        method, path, body, ..
    } in crate::api::routes().table()
    {
        let (without_token, with_token) =
            (body.bytes(false, usize::MAX), body.bytes(true, usize::MAX));
        if *body == BodyLimit::File {
            assert!(path.contains("/media/"), "{path}");
            continue;
        }
        assert!(
            without_token <= 64 << 10,
            "{method} {path}: {without_token}"
        );
        if with_token > 1 << 20 {
            exceptions.push(format!("{method} {path}: {} MiB", with_token >> 20));
        }
    }
    exceptions.sort();
    insta::assert_snapshot!(exceptions.join("\n"), @r"
    POST /_matrix/client/r0/keys/upload: 2 MiB
    POST /_matrix/client/v3/keys/upload: 2 MiB
    PUT /_matrix/client/r0/room_keys/keys/{room_id}: 8 MiB
    PUT /_matrix/client/r0/sendToDevice/{event_type}/{txn_id}: 4 MiB
    PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device: 2 MiB
    PUT /_matrix/client/unstable/room_keys/keys/{room_id}: 8 MiB
    PUT /_matrix/client/unstable/room_keys/keys: 8 MiB
    PUT /_matrix/client/v3/room_keys/keys/{room_id}: 8 MiB
    PUT /_matrix/client/v3/room_keys/keys: 8 MiB
    PUT /_matrix/client/v3/sendToDevice/{event_type}/{txn_id}: 4 MiB
    ");
}

#[tokio::test]
async fn announced_body_beyond_the_limit_is_refused_unread_everywhere() {
    let test = bridged().await;
    for token in [Some(TOKEN), None] {
        let wrong = wrong_about_too_long(&test, token, true).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    assert!(crate::api::routes().table().len() > 200);
}

#[tokio::test]
async fn body_of_unknown_length_is_read_to_the_limit_only_everywhere() {
    let test = bridged().await;
    for token in [Some(TOKEN), None] {
        let wrong = wrong_about_too_long(&test, token, false).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn body_at_the_limit_is_read_whole_everywhere() {
    let test = bridged().await;
    let router = test.server.router();
    for Route {
        method, path, body, ..
    } in crate::api::routes().table()
    {
        // `/logout` with the token of the application service ends nothing; everything else is wrong about its path or body.
        if *body == BodyLimit::File {
            continue;
        }
        let limit = body.bytes(false, usize::MAX);
        let (sent, read) = Counted::body(limit, true);
        let (status, code) = ask(router.clone(), method, path, Some(TOKEN), sent).await;
        let read = read.load(Ordering::SeqCst);
        assert_ne!(
            status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{method} {path} {code}"
        );
        assert_eq!(read, limit, "{method} {path}: {status} {code}");
    }
}

#[tokio::test]
async fn smaller_max_request_size_caps_every_limit() {
    let test = TestServer::start_with(|config| {
        config.listen.max_request_size = crate::config::Bytes(1_000);
    })
    .await;
    let path = "/_matrix/client/v3/login";
    for (bytes, wanted) in [
        (1_000, StatusCode::BAD_REQUEST),
        (1_001, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (body, _) = Counted::body(bytes, true);
        let (status, _) = ask(test.server.router(), &Method::POST, path, None, body).await;
        assert_eq!(status, wanted, "{bytes}");
    }
}

#[tokio::test]
async fn token_raises_the_limit_only_where_it_counts() {
    let test = bridged().await;
    let long = JSON_MAX_BYTES_WITHOUT_TOKEN + 1;
    for (path, token, wanted) in [
        (
            "/_matrix/client/v3/login",
            None,
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/_matrix/client/v3/login",
            Some("nobody's"),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/_matrix/client/v3/login",
            Some(TOKEN),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/_matrix/client/v3/refresh",
            Some(TOKEN),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/_matrix/client/v3/createRoom",
            None,
            StatusCode::UNAUTHORIZED,
        ),
        (
            "/_matrix/client/v3/createRoom",
            Some("nobody's"),
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let (body, read) = Counted::body(long, true);
        let (status, _) = ask(test.server.router(), &Method::POST, path, token, body).await;
        assert_eq!(status, wanted, "{path} {token:?}");
        let read = read.load(Ordering::SeqCst);
        assert_eq!(
            read > 0,
            wanted == StatusCode::BAD_REQUEST,
            "{path} {token:?}"
        );
    }
}
