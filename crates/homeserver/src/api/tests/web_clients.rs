//! What Element Web 1.11.88 and Cinny 4.2.2 ask from their first page to a first chat, as they were seen in a browser against Synapse:
//! every request in that order, with the status that it had there.

use std::{collections::BTreeMap, io::Cursor};

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{config::Secret, testing::TestServer};

const TOKEN: &str = "let me in";
const PASSWORD: &str = "secret";

/// Method, path and status. What stands in braces is made by the stage, or by an answer before.
type RecordedRequest = (&'static str, &'static str, u16);

const ELEMENT: &[RecordedRequest] = &[
    ("GET", "client/versions", 200),
    ("GET", "client/unstable/org.matrix.msc2965/auth_issuer", 404),
    ("GET", "client/v3/login", 200),
    ("POST", "client/v3/login", 200),
    ("GET", "client/v3/thirdparty/protocols", 200),
    ("GET", "client/v3/room_keys/version", 404),
    ("GET", "client/v3/voip/turnServer", 200),
    ("GET", "client/v3/pushrules/", 200),
    ("GET", "client/v3/capabilities", 200),
    ("POST", "client/v3/keys/query", 200),
    ("POST", "client/v3/user/{user}/filter", 200),
    (
        "GET",
        "client/v3/sync?filter={filter}&timeout=0&_cacheBuster=1&org.matrix.msc4222.use_state_after=true",
        200,
    ),
    (
        "PUT",
        "client/v3/user/{user}/account_data/org.matrix.msc3890.local_notification_settings.{device}",
        200,
    ),
    ("GET", "client/v3/profile/{user}", 200),
    ("POST", "client/v3/keys/upload", 200),
    ("POST", "client/unstable/keys/device_signing/upload", 200),
    ("POST", "client/v3/keys/device_signing/upload", 200),
    ("POST", "client/v3/keys/signatures/upload", 200),
    ("GET", "client/v3/devices", 200),
    (
        "PUT",
        "client/v3/user/{user}/account_data/im.vector.web.settings",
        200,
    ),
    (
        "GET",
        "client/v1/rooms/{space}/hierarchy?limit=20&max_depth=1&suggested_only=true",
        200,
    ),
    (
        "PUT",
        "client/v3/user/{user}/account_data/im.vector.setting.breadcrumbs",
        200,
    ),
    (
        "GET",
        "client/v1/rooms/{space}/hierarchy?limit=20&suggested_only=false",
        200,
    ),
    (
        "GET",
        "client/v3/rooms/{room}/members?at={since}&not_membership=leave",
        200,
    ),
    ("OPTIONS", "client/versions", 200),
    (
        "GET",
        "client/v3/sync?filter={filter}&timeout=0&set_presence=online&since={since}&org.matrix.msc4222.use_state_after=true",
        200,
    ),
    (
        "OPTIONS",
        "client/v1/media/thumbnail/{media}?width=28&height=28&method=crop&allow_redirect=true",
        200,
    ),
    (
        "GET",
        "client/v1/media/thumbnail/{media}?width=28&height=28&method=crop&allow_redirect=true",
        200,
    ),
    (
        "GET",
        "client/v1/media/thumbnail/{media}?width=800&height=600&method=scale&allow_redirect=true",
        200,
    ),
    ("POST", "client/v3/rooms/{room}/receipt/m.read/{event}", 200),
    (
        "GET",
        "client/v3/rooms/{room}/messages?from={since}&dir=b&limit=50&filter=%7B%22lazy_load_members%22%3Atrue%7D",
        200,
    ),
    (
        "OPTIONS",
        "client/v1/media/download/{media}?allow_redirect=true",
        200,
    ),
    (
        "GET",
        "client/v1/media/download/{media}?allow_redirect=true",
        200,
    ),
    ("PUT", "client/v3/rooms/{room}/typing/{user}", 200),
    ("POST", "client/v3/rooms/{room}/read_markers", 200),
    ("PUT", "client/v3/rooms/{room}/send/m.room.message/one", 200),
];

const CINNY: &[RecordedRequest] = &[
    ("GET", "client/versions", 200),
    ("GET", "client/v3/login", 200),
    ("POST", "client/v3/register", 401),
    ("POST", "client/v3/login", 200),
    ("GET", "client/v3/room_keys/version", 404),
    ("POST", "client/v3/keys/upload", 200),
    ("GET", "client/v3/voip/turnServer", 200),
    ("GET", "client/v3/pushrules/", 200),
    ("GET", "client/v3/capabilities", 200),
    ("POST", "client/v3/user/{user}/filter", 200),
    (
        "GET",
        "client/v3/sync?filter={filter}&timeout=0&_cacheBuster=1",
        200,
    ),
    ("POST", "client/v3/keys/query", 200),
    ("GET", "client/v3/devices", 200),
    ("GET", "client/v3/profile/{user}", 200),
    ("GET", "media/v3/config", 200),
    (
        "GET",
        "client/v3/sync?filter={filter}&since={since}&timeout=0",
        200,
    ),
    (
        "OPTIONS",
        "client/v1/media/thumbnail/{media}?width=48&height=48&method=crop&allow_redirect=true",
        200,
    ),
    (
        "GET",
        "client/v1/media/thumbnail/{media}?width=100&height=100&method=crop&allow_redirect=true",
        200,
    ),
    (
        "GET",
        "client/v3/rooms/{room}/members?at={since}&not_membership=leave",
        200,
    ),
    (
        "GET",
        "client/v1/media/download/{media}?allow_redirect=true",
        200,
    ),
    ("POST", "client/v3/rooms/{room}/receipt/m.read/{event}", 200),
    ("PUT", "client/v3/rooms/{room}/typing/{user}", 200),
    ("PUT", "client/v3/rooms/{room}/send/m.room.message/two", 200),
    // What it asks besides when it accepts an invitation.
    (
        "GET",
        "client/unstable/im.nheko.summary/summary/{room}",
        200,
    ),
    ("GET", "client/v1/rooms/{space}/hierarchy?limit=1", 200),
];

/// A server with somebody, their space with a room in it, and a picture in there.
struct ClientReplay {
    test: TestServer,
    token: String,
    known: BTreeMap<&'static str, String>,
}

impl ClientReplay {
    async fn new() -> Self {
        let test = TestServer::start_with(|config| {
            config.registration.allow_registration = true;
            config.registration.registration_token = Some(Secret::new(TOKEN));
        })
        .await;
        let auth = json!({ "type": "m.login.registration_token", "token": TOKEN });
        let wish = json!({ "username": "alice", "password": PASSWORD, "auth": auth });
        let (status, me) = test
            .call(Method::POST, "/_matrix/client/v3/register", wish)
            .await;
        assert_eq!(status, StatusCode::OK, "{me}");
        let text = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
        let mut stage = Self {
            test,
            token: text(&me, "access_token"),
            known: BTreeMap::from([("user", text(&me, "user_id"))]),
        };
        let alice = stage.test.with_token("alice", &stage.token);
        let create = "/_matrix/client/v3/createRoom";
        let space = json!({ "name": "Space", "creation_content": { "type": "m.space" } });
        let space = text(&alice.post(create, space).await, "room_id");
        let room = text(
            &alice.post(create, json!({ "name": "Room" })).await,
            "room_id",
        );
        let child = format!("/_matrix/client/v3/rooms/{space}/state/m.space.child/{room}");
        alice.put(&child, json!({ "via": ["letta.test"] })).await;
        let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/zero");
        let body = json!({ "msgtype": "m.text", "body": "zero" });
        let event = text(&alice.put(&send, body).await, "event_id");
        stage
            .known
            .extend([("space", space), ("room", room), ("event", event)]);
        let media = stage.upload().await;
        stage.known.insert("media", media);
        stage
    }

    async fn upload(&self) -> String {
        let mut bytes = Vec::new();
        DynamicImage::new_rgb8(900, 700)
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        let request = Request::post("/_matrix/media/v3/upload?filename=a.png")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "image/png");
        let (_, _, answer) = self.ask(request.body(Body::from(bytes)).unwrap()).await;
        let uri = answer["content_uri"].as_str().unwrap();
        uri.trim_start_matches("mxc://").to_owned()
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.test.server.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let answer = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status, parts.headers, answer)
    }

    fn filled(&self, path: &str) -> String {
        let mut path = format!("/_matrix/{path}");
        for (name, value) in &self.known {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        assert!(!path.contains('{'), "{path} is not complete");
        path
    }

    /// What such a client sends.
    fn body(&self, path: &str) -> Value {
        let end = path.split('?').next().unwrap_or_default();
        let end = end.rsplit('/').next().unwrap_or_default();
        match end {
            "login" => json!({
                "type": "m.login.password", "password": PASSWORD,
                "identifier": { "type": "m.id.user", "user": "alice" },
            }),
            "query" => json!({ "device_keys": { &self.known["user"]: [] } }),
            "filter" => json!({ "room": {
                "timeline": { "limit": 20, "unread_thread_notifications": true },
                "state": { "lazy_load_members": true },
            } }),
            "{user}" => json!({ "typing": true, "timeout": 20_000 }),
            "read_markers" => json!({ "m.fully_read": &self.known["event"] }),
            "one" | "two" => json!({ "msgtype": "m.text", "body": end }),
            _ => json!({}),
        }
    }

    /// Asks, and keeps what later requests need.
    async fn replay(&mut self, asked: RecordedRequest) -> Result<(), String> {
        let (method, template, expected) = asked;
        let path = self.filled(template);
        let request = Request::builder().method(method).uri(&path);
        let request = match method {
            "OPTIONS" => request
                .header(header::ORIGIN, "https://app.element.io")
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
                .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
                .body(Body::empty()),
            _ => request
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                .header(header::CONTENT_TYPE, "application/json")
                .body(match method {
                    "GET" => Body::empty(),
                    _ => Body::from(self.body(template).to_string()),
                }),
        };
        let (status, headers, answer) = self.ask(request.unwrap()).await;
        for (field, name) in [
            ("access_token", "token"),
            ("device_id", "device"),
            ("filter_id", "filter"),
            ("next_batch", "since"),
        ] {
            match answer[field].as_str() {
                Some(value) if name == "token" => value.clone_into(&mut self.token),
                Some(value) => drop(self.known.insert(name, value.to_owned())),
                None => {}
            }
        }
        let open = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let open = open.is_some_and(|origin| origin == "*");
        let lets_in = headers.get(header::ACCESS_CONTROL_ALLOW_HEADERS);
        let lets_in = lets_in.is_some_and(|names| {
            let names = names.to_str().unwrap_or_default();
            names.to_ascii_lowercase().contains("authorization")
        });
        if status != expected || !open || (method == "OPTIONS" && !lets_in) {
            return Err(format!("{method} {path}: {status} {headers:?} {answer}"));
        }
        Ok(())
    }
}

async fn each_gets_what_it_got_before(asked: &[RecordedRequest]) {
    let mut stage = ClientReplay::new().await;
    let mut wrong = Vec::new();
    for asked in asked {
        wrong.extend(stage.replay(*asked).await.err());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn element_web_gets_what_it_asks_for() {
    each_gets_what_it_got_before(ELEMENT).await;
}

#[tokio::test]
async fn cinny_gets_what_it_asks_for() {
    each_gets_what_it_got_before(CINNY).await;
}
