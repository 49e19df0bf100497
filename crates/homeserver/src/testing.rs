//! A server in a temporary folder and people who call it, for the tests of this crate. Every request goes through the router, as
//! bytes, like one from the network.

use std::sync::{
    Arc, Mutex,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{self, Relaxed},
    },
    mpsc,
};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, server_name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::{
    Config, Server,
    accounts::{credential::Credential, record::Account, tokens::LoginOptions},
    blocking, clock,
    services::Services,
};

/// A test double: stands in for work that takes long, so that a test can look at what others can do meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: Mutex<Option<Closed>>,
}

#[derive(Debug)]
struct Closed {
    /// Whose events wait; nothing: those of rooms that are being made.
    room: Option<OwnedRoomId>,
    reached: oneshot::Sender<()>,
    opened: mpsc::Receiver<()>,
}

/// Counts work, so that a test need not take its time.
#[derive(Debug, Default)]
pub(crate) struct WorkCounter {
    count: AtomicU64,
}

impl WorkCounter {
    pub(crate) fn add(&self, count: u64) {
        self.count.fetch_add(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// What was counted since the last time.
    pub(crate) fn take(&self) -> u64 {
        self.count.swap(0, Relaxed)
    }
}

/// Holds a gate closed.
#[derive(Debug)]
pub(crate) struct Hold {
    reached: Mutex<Option<oneshot::Receiver<()>>>,
    open: mpsc::Sender<()>,
}

impl Gate {
    /// The next events of this room wait before anything is worked out that follows from them.
    pub(crate) fn close(&self, room: &RoomId) -> Hold {
        self.closed_for(Some(room.to_owned()))
    }

    /// The next room that is made waits before its first events are built.
    pub(crate) fn close_new(&self) -> Hold {
        self.closed_for(None)
    }

    fn closed_for(&self, room: Option<OwnedRoomId>) -> Hold {
        let (reached, reaches) = oneshot::channel();
        let (open, opened) = mpsc::channel();
        *self.closed.lock().unwrap() = Some(Closed {
            room,
            reached,
            opened,
        });
        let reached = Mutex::new(Some(reaches));
        Hold { reached, open }
    }

    pub(crate) fn pass(&self, room: &RoomId) {
        self.wait(Some(room));
    }

    pub(crate) fn pass_new(&self) {
        self.wait(None);
    }

    fn wait(&self, room: Option<&RoomId>) {
        let is_here = |closed: &mut Closed| closed.room.as_deref() == room;
        let closed = self.closed.lock().unwrap().take_if(is_here);
        let Some(closed) = closed else { return };
        _ = closed.reached.send(());
        // Ends also when the test does.
        _ = closed.opened.recv();
    }
}

impl Hold {
    /// Returns when somebody waits.
    pub(crate) async fn reached(&self) {
        let reached = self.reached.lock().unwrap().take();
        reached.unwrap().await.unwrap();
    }

    pub(crate) fn open(self) {
        self.open.send(()).unwrap();
    }
}

/// Tests reach the parts.
impl std::ops::Deref for Server {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

/// A server of its own.
#[derive(Debug)]
pub(crate) struct TestServer {
    pub(crate) server: Server,
    directory: TempDir,
    /// Looks when it is dropped.
    scans: NoAsyncScans,
}

/// Fails the test if anything scanned the database on an async worker meanwhile.
#[derive(Debug)]
struct NoAsyncScans;

impl NoAsyncScans {
    fn begin() -> Self {
        drop(blocking::take_async_scans());
        Self
    }
}

impl Drop for NoAsyncScans {
    fn drop(&mut self) {
        let scans = blocking::take_async_scans();
        if !std::thread::panicking() {
            assert!(scans.is_empty(), "scanned on an async worker: {scans:?}");
        }
    }
}

/// Somebody with an access token.
#[derive(Clone, Debug)]
pub(crate) struct TestUser {
    pub(crate) user_id: OwnedUserId,
    pub(crate) device_id: String,
    pub(crate) token: String,
    router: axum::Router,
}

impl TestServer {
    /// A new server named `letta.test`.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A new server whose configuration is changed before it starts.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = Config::new(server_name!("letta.test").to_owned());
        config.database.database_path = directory.path().join("database");
        // Most tests are about rooms of their own.
        config.admin.create_admin_room = false;
        // Tests write faster than people, but for those of these limits.
        config.limits.rate_limits = false;
        change(&mut config);
        Self {
            server: Server::open(config).await.unwrap(),
            directory,
            scans: NoAsyncScans::begin(),
        }
    }

    /// The same database, opened again.
    pub(crate) async fn restart(self) -> Self {
        let config = self.server.config.clone();
        self.restart_with(config).await
    }

    /// The same database, opened again with another configuration.
    pub(crate) async fn restart_with(self, config: Config) -> Self {
        self.server.close().await;
        drop(self.server);
        Self {
            server: Server::open(config).await.unwrap(),
            directory: self.directory,
            scans: self.scans,
        }
    }

    /// Somebody new, with one device.
    pub(crate) async fn person(&self, name: &str) -> TestUser {
        let user_id = UserId::parse(format!("@{name}:letta.test")).unwrap();
        let account = Account {
            password: None,
            created: clock::now(),
            deactivated: false,
            guest: false,
            appservice: None,
            locked: false,
            suspended: false,
        };
        let mut batch = self.server.store.batch();
        self.server
            .accounts
            .put(&mut batch, &user_id, &account)
            .unwrap();
        self.server.store.commit(batch).await.unwrap();
        self.log_in(&user_id).await
    }

    /// One more device of somebody.
    pub(crate) async fn log_in(&self, user: &UserId) -> TestUser {
        let (accounts, login) = (&self.server.accounts, &self.server.config.login);
        let logged_in =
            accounts.log_in(user, Credential::NewAccount, LoginOptions::default(), login);
        let issued = logged_in.await.unwrap();
        TestUser {
            user_id: user.to_owned(),
            device_id: issued.device_id.to_string(),
            token: issued.access_token,
            router: self.server.router(),
        }
    }

    /// Somebody who has this token already.
    pub(crate) fn with_token(&self, name: &str, token: &str) -> TestUser {
        TestUser {
            user_id: UserId::parse(format!("@{name}:letta.test")).unwrap(),
            device_id: String::new(),
            token: token.to_owned(),
            router: self.server.router(),
        }
    }

    /// Calls without a token.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        call(self.server.router(), None, method, path, body).await
    }
}

impl TestUser {
    /// Calls an endpoint, and gives what came back.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        call(self.router.clone(), Some(&self.token), method, path, body).await
    }

    /// Calls an endpoint, and gives the response before its body is read.
    pub(crate) async fn send_request(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Response<Body> {
        respond(self.router.clone(), Some(&self.token), method, path, body).await
    }

    /// Calls an endpoint that has to answer 200.
    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method.clone(), path, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    /// `GET` that has to answer 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, json!({})).await
    }

    /// `POST` that has to answer 200.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, body).await
    }

    /// `PUT` that has to answer 200.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.ok(Method::PUT, path, body).await
    }
}

async fn respond(
    router: axum::Router,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: Value,
) -> Response<Body> {
    let mut request = Request::builder()
        .method(&method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = if method == Method::GET {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    router.oneshot(request.body(body).unwrap()).await.unwrap()
}

async fn call(
    router: axum::Router,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let response = respond(router, token, method, path, body).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn a_server_says_what_it_speaks_and_keeps_a_room() {
    use crate::rooms::Draft;
    use ruma::{
        RoomVersionId,
        events::{StateEventType, TimelineEventType},
    };

    let test = TestServer::start().await;
    let (status, answer) = test
        .call(Method::GET, "/_matrix/client/versions", json!({}))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        answer["versions"]
            .as_array()
            .unwrap()
            .contains(&json!("v1.11"))
    );

    let alice = test.person("alice").await;
    for version in [RoomVersionId::V10, RoomVersionId::V11, RoomVersionId::V12] {
        let mut create = json!({ "room_version": version });
        if version == RoomVersionId::V10 {
            create["creator"] = json!(alice.user_id);
        }
        let create = serde_json::value::to_raw_value(&create).unwrap();
        let rooms = &test.server.rooms;
        let mut room = rooms
            .create(version, alice.user_id.clone(), create)
            .await
            .unwrap();
        let join = json!({ "membership": "join" });
        let join = Draft::state(
            alice.user_id.clone(),
            &StateEventType::RoomMember,
            alice.user_id.as_str(),
            &join,
        );
        room.add(join.unwrap()).unwrap();
        let room_id = room.room_id().to_owned();
        room.commit().await.unwrap();

        let mut room = rooms.write(&room_id).await.unwrap();
        let content =
            serde_json::value::to_raw_value(&json!({ "msgtype": "m.text", "body": "hi" })).unwrap();
        let sent = room
            .add(Draft::message(
                alice.user_id.clone(),
                TimelineEventType::RoomMessage,
                content,
            ))
            .unwrap();
        let position = room.commit().await.unwrap();
        assert_eq!(test.server.stream.visible(), position);
        assert_eq!(rooms.events_down(&room_id, position).count(), 3);
        assert_eq!(rooms.event(&sent.event_id).unwrap().unwrap().depth, 3);
        assert!(rooms.is_joined(&room_id, &alice.user_id).unwrap());
    }
}

/// Counts one more as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
