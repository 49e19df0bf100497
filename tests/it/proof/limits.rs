//! Every limit, by name: what is just within it is taken, what is beyond it is refused in words, by the code for it.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::account::{Account, part};
use super::room_of;
use crate::support::embedded::Embedded;

/// Small enough to be reached soon.
const SETTINGS: &str = "max_request_size = \"2 MiB\"\n";
const REQUEST_MAX_BYTES: usize = 2 << 20;
const DATUM_MAX_BYTES: usize = 1 << 20;
const EVENT_MAX_BYTES: usize = 65_536;
const DEPTH_MAX: usize = 100;
const NAME_MAX: usize = 255;
const KEYS_MAX: usize = 1_000;
/// What one sync gives of a room at most, and what one page has.
const TIMELINE_MAX: usize = 100;
const PAGE_MAX: usize = 1_000;

/// Somebody in a room of their own, on a server of its own.
struct Stand {
    _server: Embedded,
    _dir: tempfile::TempDir,
    me: Account,
    room: String,
}

impl Stand {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut server = Embedded::new(&dir.path().join("server")).with_settings(SETTINGS);
        server.lay_out(None);
        server.start().await;
        let me = Account::register(&server.url(), "somebody").await;
        let room = room_of(&[&me]).await;
        Self {
            _server: server,
            _dir: dir,
            me,
            room,
        }
    }

    fn in_room(&self, rest: &str) -> String {
        format!("/_matrix/client/v3/rooms/{}/{rest}", part(&self.room))
    }

    fn mine(&self, rest: &str) -> String {
        format!("/_matrix/client/v3/user/{}/{rest}", part(&self.me.user_id))
    }

    async fn within(&self, what: &str, method: Method, path: &str, body: &Value) {
        let answer = self.me.ask(method, path, Some(body)).await;
        let (status, answer) = answer.expect("an answer");
        assert_eq!(status, StatusCode::OK, "{what}: {answer}");
    }

    async fn beyond(&self, what: &str, method: Method, path: &str, body: &Value) -> String {
        let answer = self.me.ask(method, path, Some(body)).await;
        let (status, answer) = answer.expect("an answer");
        assert!(status.is_client_error(), "{what}: {status} {answer}");
        let code = answer["errcode"].as_str().expect("a code");
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(said.len() > 10, "{what}: no words: {answer}");
        format!("{} {code}", status.as_u16())
    }
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// A message whose event, with everything that the server adds, comes close to `bytes`.
fn message(bytes: usize) -> Value {
    json!({ "msgtype": "m.text", "body": long(bytes) })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused() {
    let stand = Stand::new().await;
    let put = Method::PUT;
    let send = |txn: &str| stand.in_room(&format!("send/m.room.message/{txn}"));
    let code = stand
        .beyond(
            "the body",
            put.clone(),
            &send("a"),
            &message(REQUEST_MAX_BYTES + 1),
        )
        .await;
    assert_eq!(code, "413 M_TOO_LARGE");
    stand
        .within(
            "an event",
            put.clone(),
            &send("b"),
            &message(EVENT_MAX_BYTES - 1_500),
        )
        .await;
    let code = stand
        .beyond(
            "an event",
            put.clone(),
            &send("c"),
            &message(EVENT_MAX_BYTES),
        )
        .await;
    assert_eq!(code, "413 M_TOO_LARGE");
    stand
        .within("depth", put.clone(), &send("d"), &nested(DEPTH_MAX))
        .await;
    let code = stand
        .beyond("depth", put.clone(), &send("e"), &nested(DEPTH_MAX + 1))
        .await;
    assert_eq!(code, "400 M_BAD_JSON");

    for (what, rest) in [
        ("the type", format!("state/{}/", long(NAME_MAX + 1))),
        ("the state key", format!("state/x/{}", long(NAME_MAX + 1))),
        (
            "the type of a message",
            format!("send/{}/f", long(NAME_MAX + 1)),
        ),
    ] {
        stand
            .beyond(what, put.clone(), &stand.in_room(&rest), &json!({}))
            .await;
    }
    let state = stand.in_room(&format!("state/{}/{}", long(NAME_MAX), long(NAME_MAX)));
    stand
        .within("names of the longest", put.clone(), &state, &json!({}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_and_filters_that_are_too_large_are_refused() {
    let stand = Stand::new().await;
    let (put, post) = (Method::PUT, Method::POST);
    let datum = stand.mine("account_data/org.example.large");
    let large = json!({ "x": long(DATUM_MAX_BYTES) });
    stand
        .within(
            "account data",
            put.clone(),
            &datum,
            &json!({ "x": long(DATUM_MAX_BYTES - 100) }),
        )
        .await;
    stand
        .beyond("account data", put.clone(), &datum, &large)
        .await;
    let named = stand.mine(&format!("account_data/{}", long(NAME_MAX + 1)));
    stand
        .beyond("the type of account data", put, &named, &json!({}))
        .await;
    let filter =
        json!({ "room": { "rooms": (0..9_000).map(|n| format!("!{n}:x.y")).collect::<Vec<_>>() } });
    stand
        .beyond("a filter", post, &stand.mine("filter"), &filter)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_keys_and_ids_that_are_too_long_are_refused() {
    let stand = Stand::new().await;
    let post = Method::POST;
    let upload = "/_matrix/client/v3/keys/upload";
    let keys = |count: usize, id_bytes: usize| {
        let keys = (0..count).map(|number| {
            let id = format!("signed_curve25519:{number:0>id_bytes$}");
            (id, json!({ "key": "Zm9v", "signatures": {} }))
        });
        json!({ "one_time_keys": keys.collect::<Map<_, _>>() })
    };
    stand
        .beyond(
            "one-time keys",
            post.clone(),
            upload,
            &keys(KEYS_MAX + 1, 6),
        )
        .await;
    stand
        .within("one-time keys", post.clone(), upload, &keys(KEYS_MAX, 6))
        .await;
    stand
        .beyond("the id of a key", post.clone(), upload, &keys(1, NAME_MAX))
        .await;

    let login = |device: usize, password: usize| {
        json!({
            "type": "m.login.password", "password": long(password), "device_id": long(device),
            "identifier": { "type": "m.id.user", "user": stand.me.user_id },
        })
    };
    let path = "/_matrix/client/v3/login";
    stand
        .beyond("a password", post.clone(), path, &login(1, 10_000))
        .await;
    let mut device = login(NAME_MAX + 1, 1);
    device["password"] = json!(super::account::PASSWORD);
    stand
        .beyond("the id of a device", post.clone(), path, &device)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_invites_and_names_that_are_too_long_are_refused() {
    let stand = Stand::new().await;
    let (put, post) = (Method::PUT, Method::POST);
    let invites: Vec<String> = (0..101)
        .map(|number| format!("@n{number}:letta.test"))
        .collect();
    let create = "/_matrix/client/v3/createRoom";
    stand
        .beyond(
            "invites",
            post.clone(),
            create,
            &json!({ "invite": invites }),
        )
        .await;
    let alias = json!({ "room_alias_name": long(NAME_MAX) });
    stand.beyond("an alias", post.clone(), create, &alias).await;

    let name = format!(
        "/_matrix/client/v3/profile/{}/displayname",
        part(&stand.me.user_id)
    );
    stand
        .beyond(
            "a display name",
            put.clone(),
            &name,
            &json!({ "displayname": long(300) }),
        )
        .await;
    let to = format!("/_matrix/client/v3/sendToDevice/{}/t", long(NAME_MAX + 1));
    let messages = json!({ "messages": { &stand.me.user_id: { "*": {} } } });
    stand
        .beyond(
            "the type of a message to a device",
            put.clone(),
            &to,
            &messages,
        )
        .await;
    let messages = json!({ "messages": { &stand.me.user_id: { "*": { "x": long(70_000) } } } });
    let to = "/_matrix/client/v3/sendToDevice/org.example.x/u";
    stand
        .beyond("a message to a device", put.clone(), to, &messages)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_of_anything_is_refused() {
    let stand = Stand::new().await;
    let (put, post) = (Method::PUT, Method::POST);
    let tag = |number: usize| stand.mine(&format!("rooms/{}/tags/u.{number}", part(&stand.room)));
    for number in 0..100 {
        stand
            .within("a tag", put.clone(), &tag(number), &json!({}))
            .await;
    }
    stand
        .beyond("tags", put.clone(), &tag(100), &json!({}))
        .await;
    for number in 0..100 {
        let later = stand.in_room(&format!(
            "send/m.x/l{number}?org.matrix.msc4140.delay=900000"
        ));
        stand
            .within("an event that waits", put.clone(), &later, &json!({}))
            .await;
    }
    let later = stand.in_room("send/m.x/l?org.matrix.msc4140.delay=900000");
    stand
        .beyond("events that wait", put, &later, &json!({}))
        .await;

    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let name = json!({ "conn_id": long(NAME_MAX + 1) });
    stand
        .beyond("the name of a connection", post.clone(), sliding, &name)
        .await;
    let list = json!({ "ranges": [[0, 1]], "timeline_limit": 1, "required_state": [] });
    let lists: Map<String, Value> = (0..101).map(|n| (n.to_string(), list.clone())).collect();
    stand
        .beyond("lists", post, sliding, &json!({ "lists": lists }))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_never_longer_than_pages_are() {
    let stand = Stand::new().await;
    for number in 0..=PAGE_MAX {
        let send = stand.in_room(&format!("send/m.room.message/{number}"));
        stand.me.put(&send, &message(10)).await;
    }
    let page = stand.in_room("messages?dir=b&limit=1000000");
    let page = stand.me.get(&page).await;
    assert_eq!(page["chunk"].as_array().expect("events").len(), PAGE_MAX);
    assert!(page["end"].is_string(), "there is more");

    let filter = json!({ "room": { "timeline": { "limit": 1_000_000 } } }).to_string();
    let sync = format!("/_matrix/client/v3/sync?timeout=0&filter={}", part(&filter));
    let timeline = &stand.me.get(&sync).await["rooms"]["join"][&stand.room]["timeline"];
    assert_eq!(
        timeline["events"].as_array().expect("events").len(),
        TIMELINE_MAX
    );
    assert_eq!(timeline["limited"], true);
}
