//! Who may do what on the embedded homeserver: every operation of the specification, asked by everybody who is not meant.
//!
//! The requests are generated from the shapes of the specification and are about the things of one person: her private room, her
//! devices, keys, files and account. `access/allowed.txt` says which operations answer whom; whatever succeeds beside it is a
//! fault, and so is any answer that gives away what only she knows. That the requests are good ones is shown by her own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use http::{Method, StatusCode};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::proof::account::{Account, PASSWORD, ask, http, part};
use crate::proof::fuzz::call::{Call, call};
use crate::proof::fuzz::catalogue::{Operation, operations};
use crate::proof::fuzz::pool::{Kind, MYSELF, Pool};
use crate::support::embedded::Embedded;
use crate::support::synapse::DOMAIN;

/// What may succeed: an operation, and who may do it.
const ALLOWED: &str = include_str!("access/allowed.txt");
/// How many requests each caller makes of each operation.
const TRIES: usize = 5;
/// How many operations must succeed for the person herself, or the requests show nothing.
const OWN_MIN: usize = 60;
/// What nobody but Alice and who is in her room may read.
const SECRET: &str = "whatonlyaliceknows";
const AS_TOKEN: &str = "the-token-of-another-appservice";

/// Nobody waits long, guests may come, and all may ask often.
const SETTINGS: &str = "client_sync_timeout_min = 0\nclient_sync_timeout_default = 50\nclient_sync_timeout_max = 500\n\
                        allow_guest_registration = true\n";

/// Somebody who asks for what is Alice's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    /// Without a token.
    Nobody,
    /// With a token that nobody has.
    Impostor,
    /// Somebody with an account, who is in none of her rooms.
    Stranger,
    Guest,
    /// The token of an account that was deactivated.
    Deactivated,
    /// A user of an application service.
    Ghost,
    /// An application service that says it were Alice.
    Masquerade,
}

const CALLERS: [Caller; 7] = [
    Caller::Nobody,
    Caller::Impostor,
    Caller::Stranger,
    Caller::Guest,
    Caller::Deactivated,
    Caller::Ghost,
    Caller::Masquerade,
];

impl Caller {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A server on which Alice has a little of everything.
struct Fixture {
    url: String,
    http: reqwest::Client,
    alice: Account,
    tokens: BTreeMap<Caller, String>,
    pool: Arc<Pool>,
    staged: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_answer_only_who_is_allowed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Embedded::new(&dir.path().join("server")).with_settings(SETTINGS);
    server.lay_out(Some(&registration(dir.path())));
    server.start().await;
    // The first account is an admin; Alice is not.
    Account::register(&server.url(), "admin").await;
    let deactivated = deactivated(&server.url()).await;
    let mut stage = Fixture::set(&server.url(), 0, &deactivated).await;

    let mut succeeded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut own, mut leaks) = (BTreeSet::new(), BTreeSet::new());
    for operation in unique(operations()).into_iter().filter(takes_no_password) {
        for request in requests(&operation, &stage.pool) {
            for caller in CALLERS {
                let (status, body) = stage.send(caller, &request).await;
                assert!(
                    !status.is_server_error() || status == StatusCode::GATEWAY_TIMEOUT,
                    "{caller:?} {request:?}\n{status} {body}"
                );
                if status.is_success() {
                    let callers = succeeded.entry(operation.name()).or_default();
                    callers.insert(caller.name());
                    if body.contains(&secret_of(stage.staged)) {
                        leaks.insert(format!("{} to {caller:?}: {body}", operation.name()));
                    }
                }
            }
            if stage.send_as_alice(&request).await.is_success() {
                own.insert(operation.name());
                // What she has changed, others may see.
                if operation.method != "GET" {
                    stage = Fixture::set(&server.url(), stage.staged + 1, &deactivated).await;
                    break;
                }
            }
        }
    }
    println!("{} operations answered Alice", own.len());
    assert!(own.len() >= OWN_MIN, "only {} of {own:#?}", own.len());
    assert!(leaks.is_empty(), "{leaks:#?}");
    compare(&succeeded);
}

/// Compares what succeeded with what is allowed. `UPDATE_EXAMPLES=1` writes it down anew, to be read before it is committed.
fn compare(succeeded: &BTreeMap<String, BTreeSet<String>>) {
    let line = |(operation, callers): (&String, &BTreeSet<String>)| {
        let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
        format!("{operation}: {}\n", callers.join(" "))
    };
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/allowed.txt");
        let text: String = succeeded.iter().map(line).collect();
        std::fs::write(path, text).expect("allowed.txt can be written");
        return;
    }
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .map(|(operation, callers)| (operation, callers.split(' ').collect()))
        .collect();
    let mut beyond = BTreeSet::new();
    for (operation, callers) in succeeded {
        for caller in callers {
            let may = allowed.get(operation.as_str());
            if !may.is_some_and(|may| may.contains(caller.as_str())) {
                beyond.insert(format!("{operation}: {caller}"));
            }
        }
    }
    assert!(
        beyond.is_empty(),
        "succeeded and is not allowed: {beyond:#?}"
    );
}

/// The registration of an application service that has nothing to do with Alice.
fn registration(dir: &Path) -> std::path::PathBuf {
    let registration = json!({
        "id": "other", "url": null, "as_token": AS_TOKEN, "hs_token": "nobody-asks",
        "sender_localpart": "other", "rate_limited": false,
        "namespaces": {
            "users": [{ "exclusive": true, "regex": format!("@other_.*:{DOMAIN}") }],
            "aliases": [], "rooms": [],
        },
    });
    let path = dir.join("other.yaml");
    std::fs::write(&path, registration.to_string()).expect("the registration can be written");
    path
}

/// Guesses are counted by address, and all callers here have the same one: what takes a password is for tests of its own.
fn takes_no_password(operation: &Operation) -> bool {
    let path = operation.path.as_str();
    let guesses = [
        "/login",
        "/account/password",
        "/account/deactivate",
        "/delete_devices",
    ];
    let deletes = operation.method == "DELETE" && path.contains("/devices/");
    !(guesses.iter().any(|end| path.ends_with(end)) || path.contains("/3pid") || deletes)
}

fn unique(operations: Vec<Operation>) -> Vec<Operation> {
    let mut seen = BTreeSet::new();
    let mut operations = operations;
    operations.retain(|operation| seen.insert(operation.name()));
    operations
}

/// Requests of an operation about what is Alice's: the same ones at each run.
fn requests(operation: &Operation, pool: &Arc<Pool>) -> Vec<Call> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let calls = call(operation, pool);
    let call = |_| calls.new_tree(&mut runner).expect("a request").current();
    (0..TRIES).map(call).collect()
}

impl Fixture {
    async fn set(url: &str, staged: usize, deactivated: &str) -> Self {
        let name = |who: &str| format!("{who}{staged}");
        let alice = Account::register(url, &name("alice")).await;
        let bob = Account::register(url, &name("bob")).await;
        let stranger = Account::register(url, &name("stranger")).await;
        let tokens = BTreeMap::from([
            (Caller::Impostor, "nobody-has-this-token".to_owned()),
            (Caller::Stranger, stranger.token.clone()),
            (Caller::Guest, guest(url).await),
            (Caller::Deactivated, deactivated.to_owned()),
            (Caller::Ghost, AS_TOKEN.to_owned()),
            (Caller::Masquerade, AS_TOKEN.to_owned()),
        ]);
        let ghost = json!({ "type": "m.login.application_service", "username": "other_1" });
        let register = format!("{url}/_matrix/client/v3/register");
        let made = ask(
            &http(),
            Some(AS_TOKEN),
            Method::POST,
            &register,
            Some(&ghost),
        )
        .await;
        made.expect("the ghost");
        let mut pool = Pool::default();
        furnish(&alice, &bob, &mut pool, &secret_of(staged)).await;
        Self {
            url: url.to_owned(),
            http: http(),
            alice,
            tokens,
            pool: Arc::new(pool),
            staged,
        }
    }

    /// Makes a request as one caller. What the request says of "myself" is Alice.
    async fn send(&self, caller: Caller, call: &Call) -> (StatusCode, String) {
        let acts_as = match caller {
            Caller::Ghost => Some(format!("@other_1:{DOMAIN}")),
            Caller::Masquerade => Some(self.alice.user_id.clone()),
            _ => None,
        };
        let token = self.tokens.get(&caller).map(String::as_str);
        self.request(call, token, acts_as.as_deref()).await
    }

    async fn send_as_alice(&self, call: &Call) -> StatusCode {
        self.request(call, Some(&self.alice.token), None).await.0
    }

    async fn request(
        &self,
        call: &Call,
        token: Option<&str>,
        acts_as: Option<&str>,
    ) -> (StatusCode, String) {
        let alice = &self.alice.user_id;
        let mut uri = call.uri.replace(&part(MYSELF), &part(alice));
        if let Some(user) = acts_as {
            let and = if uri.contains('?') { '&' } else { '?' };
            uri = format!("{uri}{and}user_id={}", part(user));
        }
        let body = String::from_utf8_lossy(&call.body)
            .replace(&format!("\"{MYSELF}\""), &format!("\"{alice}\""));
        let method: Method = call.method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{uri}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(media) = call.media {
            request = request.header("content-type", media);
        }
        let answer = request.body(body).send().await.expect("an answer");
        let status = answer.status();
        (status, answer.text().await.unwrap_or_default())
    }
}

/// The token of an account that was deactivated. One is enough: it takes a password, and guesses are counted.
async fn deactivated(url: &str) -> String {
    let gone = Account::register(url, "gone").await;
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": gone.user_id },
    });
    let path = "/_matrix/client/v3/account/deactivate";
    gone.post(path, &json!({ "auth": auth })).await;
    gone.token
}

/// What only the Alice of a stage knows. Those of earlier stages may have told theirs: they can make a room public.
fn secret_of(staged: usize) -> String {
    format!("{SECRET}{staged:04}")
}

async fn guest(url: &str) -> String {
    let register = format!("{url}/_matrix/client/v3/register?kind=guest");
    let made = ask(&http(), None, Method::POST, &register, Some(&json!({}))).await;
    let (status, guest) = made.expect("an answer");
    let token = guest["access_token"].as_str();
    token
        .unwrap_or_else(|| panic!("{status} {guest}"))
        .to_owned()
}

/// Gives Alice a private room with something in it, and one of each thing that an account can have.
async fn furnish(alice: &Account, bob: &Account, pool: &mut Pool, secret: &str) {
    let user = part(&alice.user_id);
    let room = json!({
        "preset": "private_chat", "name": secret, "topic": secret, "invite": [bob.user_id],
    });
    let made = alice.post("/_matrix/client/v3/createRoom", &room).await;
    let room = made["room_id"].as_str().expect("a room").to_owned();
    let base = format!("/_matrix/client/v3/rooms/{}", part(&room));
    bob.post(&format!("{base}/join"), &json!({})).await;
    let text = json!({ "msgtype": "m.text", "body": secret });
    let sent = alice
        .put(&format!("{base}/send/m.room.message/1"), &text)
        .await;
    let event = sent["event_id"].as_str().expect("an event");
    let threaded = json!({
        "msgtype": "m.text", "body": secret,
        "m.relates_to": { "rel_type": "m.thread", "event_id": event },
    });
    bob.put(&format!("{base}/send/m.room.message/2"), &threaded)
        .await;
    let data = json!({ "secret": secret });
    for path in [
        format!("/_matrix/client/v3/user/{user}/account_data/org.example.free"),
        format!(
            "/_matrix/client/v3/user/{user}/rooms/{}/account_data/org.example.free",
            part(&room)
        ),
        format!(
            "/_matrix/client/v3/user/{user}/rooms/{}/tags/u.{secret}",
            part(&room)
        ),
    ] {
        alice.put(&path, &data).await;
    }
    let filter = json!({ "room": { "not_senders": [format!("@{secret}:x")] } });
    pool.harvest(
        &alice
            .post(&format!("/_matrix/client/v3/user/{user}/filter"), &filter)
            .await,
    );
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": secret, "signatures": {} },
    });
    pool.harvest(
        &alice
            .post("/_matrix/client/v3/room_keys/version", &backup)
            .await,
    );
    pool.add(Kind::User, &alice.user_id);
    pool.add(Kind::Device, &alice.device_id);
    pool.add(Kind::Room, &room);
    pool.add(Kind::Event, event);
    let sync: Value = alice.get("/_matrix/client/v3/sync?timeout=0").await;
    let next = sync["next_batch"].as_str().expect("a token");
    pool.add(Kind::Token, next);
}
