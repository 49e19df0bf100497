//! What generated requests are about: a server with people, rooms of several kinds, and something of everything in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::account::{Account, part};
use super::pool::{Kind, Pool};
use crate::support::synapse::DOMAIN;

pub const AS_TOKEN: &str = "what-the-appservice-says";

/// A picture of two pixels, in the simplest of formats that are scaled.
pub const PICTURE: &[u8] =
    b"GIF89a\x02\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x02\x00\x01\x00\x00\x02\x02\x04\n\x00;";

/// An application service that takes everything, and counts.
pub struct Sink {
    port: u16,
    transactions: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Sink {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let transactions = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&transactions);
        let taken = any(move |Json(_): Json<Value>| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            Json(json!({}))
        });
        let router = axum::Router::new().fallback_service(taken);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            port,
            transactions,
            serving,
        }
    }

    /// How many transactions arrived whose body was JSON.
    pub fn transactions(&self) -> usize {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Its registration, as a file; it wants to hear of everything.
    pub fn registration(&self, dir: &Path) -> PathBuf {
        let registration = json!({
            "id": "sink",
            "url": format!("http://127.0.0.1:{}", self.port),
            "as_token": AS_TOKEN,
            "hs_token": "what-the-homeserver-says",
            "sender_localpart": "sink",
            "rate_limited": false,
            "receive_ephemeral": true,
            "de.sorunome.msc2409.push_ephemeral": true,
            "org.matrix.msc3202": true,
            "io.element.msc4190": true,
            "namespaces": {
                "users": [
                    { "exclusive": true, "regex": format!("@agent_.*:{DOMAIN}") },
                    { "exclusive": false, "regex": "@.*" },
                ],
                "aliases": [{ "exclusive": true, "regex": format!("#agent_.*:{DOMAIN}") }],
                "rooms": [],
            },
        });
        let file = dir.join("sink.yaml");
        std::fs::write(&file, registration.to_string()).expect("the registration can be written");
        file
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Makes rooms and fills them. What is made joins the pool.
pub async fn set(number: usize, alice: &Account, bob: &Account, pool: &mut Pool) {
    for person in [alice, bob] {
        pool.add(Kind::User, &person.user_id);
        pool.add(Kind::Device, &person.device_id);
        keys(person, pool).await;
    }
    let main = rooms(number, alice, bob, pool).await;
    talk(&main, alice, bob, pool).await;
    things(alice, pool).await;
    for person in [alice, bob] {
        let answer = person.get("/_matrix/client/v3/sync?timeout=0").await;
        pool.harvest(&answer);
        let page = format!("/_matrix/client/v3/rooms/{}/messages?dir=b", part(&main));
        pool.harvest(&person.get(&page).await);
    }
}

async fn keys(person: &Account, pool: &mut Pool) {
    let (user, device) = (&person.user_id, &person.device_id);
    let body = json!({
        "device_keys": {
            "user_id": user, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": { format!("ed25519:{device}"): "Zm9v", format!("curve25519:{device}"): "YmFy" },
            "signatures": { user: { format!("ed25519:{device}"): "c2ln" } },
        },
        "one_time_keys": { "signed_curve25519:AAAAAQ": { "key": "Zm9v", "signatures": {} } },
        "fallback_keys": { "signed_curve25519:AAAAAg": { "key": "Zm9v", "fallback": true } },
    });
    pool.harvest(&person.post("/_matrix/client/v3/keys/upload", &body).await);
}

async fn rooms(number: usize, alice: &Account, bob: &Account, pool: &mut Pool) -> String {
    let create = "/_matrix/client/v3/createRoom";
    let alias = format!("stage{number}");
    let wanted = [
        json!({ "preset": "public_chat", "room_alias_name": alias, "visibility": "public" }),
        json!({ "room_version": "10", "preset": "private_chat", "invite": [bob.user_id] }),
        json!({ "room_version": "12", "preset": "trusted_private_chat", "invite": [bob.user_id] }),
        json!({ "creation_content": { "type": "m.space" }, "preset": "public_chat" }),
    ];
    let mut made = Vec::new();
    for body in wanted {
        let answer = alice.post(create, &body).await;
        pool.harvest(&answer);
        made.push(answer["room_id"].as_str().expect("a room").to_owned());
    }
    for room in &made {
        let join = format!("/_matrix/client/v3/rooms/{}/join", part(room));
        bob.post(&join, &json!({})).await;
    }
    let child = format!(
        "/_matrix/client/v3/rooms/{}/state/m.space.child/{}",
        part(&made[3]),
        part(&made[0])
    );
    alice.put(&child, &json!({ "via": [DOMAIN] })).await;
    pool.add(Kind::Alias, &format!("#{alias}:{DOMAIN}"));
    made.swap_remove(0)
}

async fn talk(room: &str, alice: &Account, bob: &Account, pool: &mut Pool) {
    let base = format!("/_matrix/client/v3/rooms/{}", part(room));
    let send = async |who: &Account, kind: &str, txn: &str, content: Value| {
        let txn = format!("{txn}-{}", part(room));
        let answer = who
            .put(&format!("{base}/send/{kind}/{txn}"), &content)
            .await;
        answer["event_id"].as_str().expect("an event").to_owned()
    };
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let root = send(alice, "m.room.message", "a", text("the beginning")).await;
    let mut threaded = text("in a thread");
    threaded["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": root });
    send(bob, "m.room.message", "b", threaded).await;
    let reaction =
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": root, "key": "👍" } });
    send(bob, "m.reaction", "c", reaction).await;
    let gone = send(bob, "m.room.message", "d", text("regretted")).await;
    let redact = format!("{base}/redact/{}/e-{}", part(&gone), part(room));
    bob.put(&redact, &json!({ "reason": "regret" })).await;
    bob.post(
        &format!("{base}/receipt/m.read/{}", part(&root)),
        &json!({}),
    )
    .await;
    pool.add(Kind::Event, &root);
    pool.add(Kind::Event, &gone);
}

async fn things(alice: &Account, pool: &mut Pool) {
    let user = part(&alice.user_id);
    let filter = format!("/_matrix/client/v3/user/{user}/filter");
    let limit = json!({ "room": { "timeline": { "limit": 5 } } });
    pool.harvest(&alice.post(&filter, &limit).await);
    pool.harvest(
        &alice
            .post("/_matrix/media/v3/upload?filename=x", &json!({ "a": 1 }))
            .await,
    );
    let backup = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": { "public_key": "Zm9v", "signatures": {} } });
    pool.harvest(
        &alice
            .post("/_matrix/client/v3/room_keys/version", &backup)
            .await,
    );
}
