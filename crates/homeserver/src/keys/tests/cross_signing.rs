//! Cross-signing: who may set which keys, and which signatures are kept and shown.

use serde_json::json;

use super::*;
use crate::{store::tables, testing::TestServer};

const UPLOAD: &str = "/_matrix/client/v3/keys/device_signing/upload";
const SIGNATURES: &str = "/_matrix/client/v3/keys/signatures/upload";
const QUERY: &str = "/_matrix/client/v3/keys/query";

/// The cross-signing keys of somebody.
pub(super) struct Identity {
    master: Key,
    self_signing: Key,
    user_signing: Key,
}

impl Identity {
    pub(super) fn new() -> Self {
        Self {
            master: Key::of_person(),
            self_signing: Key::of_person(),
            user_signing: Key::of_person(),
        }
    }

    fn key(person: &TestUser, usage: &str, key: &Key) -> Value {
        json!({ "user_id": person.user_id, "usage": [usage], "keys": { key.id(): key.public() } })
    }

    fn master(&self, person: &TestUser) -> Value {
        Self::key(person, "master", &self.master)
    }

    pub(super) fn upload(&self, person: &TestUser) -> Value {
        let signed = |usage, key| self.master.sign(person, Self::key(person, usage, key));
        json!({
            "master_key": self.master(person),
            "self_signing_key": signed("self_signing", &self.self_signing),
            "user_signing_key": signed("user_signing", &self.user_signing),
        })
    }
}

async fn query(asker: &TestUser, of: &TestUser) -> Value {
    asker
        .post(QUERY, json!({ "device_keys": { &*of.user_id: [] } }))
        .await
}

#[tokio::test]
async fn the_first_keys_need_no_password_and_others_do() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    // Clients ask with nothing whether they may.
    alice
        .post(
            "/_matrix/client/unstable/keys/device_signing/upload",
            json!({}),
        )
        .await;
    let identity = Identity::new();
    let mut forged = identity.upload(&alice);
    forged["self_signing_key"] = bob_signed(&alice, &identity);
    let answer = refused(&alice, Method::POST, UPLOAD, forged).await;
    assert_eq!(
        answer,
        (StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE".to_owned())
    );
    assert!(query(&alice, &alice).await["master_keys"].is_null());

    alice.post(UPLOAD, identity.upload(&alice)).await;
    alice.post(UPLOAD, identity.upload(&alice)).await;
    let (status, answer) = alice
        .call(Method::POST, UPLOAD, Identity::new().upload(&alice))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["flows"], json!([{ "stages": ["m.login.password"] }]));

    let shown = query(&alice, &alice).await;
    let name = alice.user_id.as_str();
    assert_eq!(shown["master_keys"][name], identity.master(&alice));
    assert!(shown["user_signing_keys"][name].is_object());
    let shown = query(&bob, &alice).await;
    assert!(shown["self_signing_keys"][name].is_object());
    assert!(shown["user_signing_keys"].is_null());
}

/// A self-signing key that somebody else's master key signed.
fn bob_signed(person: &TestUser, identity: &Identity) -> Value {
    let key = Identity::key(person, "self_signing", &identity.self_signing);
    Key::of_person().sign(person, key)
}

#[tokio::test]
async fn signatures_are_verified_and_shown_to_whom_they_concern() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let (ours, theirs) = (Identity::new(), Identity::new());
    let device = Key::of_device(&alice.device_id);
    let keys = device_keys(&alice, &device);
    alice
        .post(
            "/_matrix/client/v3/keys/upload",
            json!({ "device_keys": keys }),
        )
        .await;
    alice.post(UPLOAD, ours.upload(&alice)).await;
    bob.post(UPLOAD, theirs.upload(&bob)).await;

    let own = json!({ &*alice.user_id: {
        &*alice.device_id: ours.self_signing.sign(&alice, keys.clone()),
        ours.master.public(): device.sign(&alice, ours.master(&alice)),
    } });
    let other = json!({ &*bob.user_id: {
        theirs.master.public(): ours.user_signing.sign(&alice, theirs.master(&bob)),
    } });
    let none_failed = json!({ "failures": {} });
    assert_eq!(alice.post(SIGNATURES, own).await, none_failed);
    assert_eq!(alice.post(SIGNATURES, other).await, none_failed);

    let by_alice = |object: &Value, key: &Key| {
        object["signatures"][alice.user_id.as_str()][key.id()].is_string()
    };
    let shown = query(&carol, &alice).await;
    let name = alice.user_id.as_str();
    let shown_device = &shown["device_keys"][name][alice.device_id.as_str()];
    assert!(by_alice(shown_device, &device) && by_alice(shown_device, &ours.self_signing));
    assert!(by_alice(&shown["master_keys"][name], &device));
    // Whom Alice has verified is only for Alice.
    let master = |shown: &Value| shown["master_keys"][bob.user_id.as_str()].clone();
    assert!(by_alice(
        &master(&query(&alice, &bob).await),
        &ours.user_signing
    ));
    assert!(!by_alice(
        &master(&query(&carol, &bob).await),
        &ours.user_signing
    ));

    let mut changed = keys.clone();
    changed["algorithms"] = json!([]);
    let wrong = json!({ &*alice.user_id: {
        &*alice.device_id: ours.self_signing.sign(&alice, changed),
        "UNKNOWN": keys,
        ours.master.public(): ours.user_signing.sign(&alice, ours.master(&alice)),
    } });
    let failures = alice.post(SIGNATURES, wrong).await["failures"][name].clone();
    assert_eq!(failures[alice.device_id.as_str()]["errcode"], "M_BAD_JSON");
    assert_eq!(failures["UNKNOWN"]["errcode"], "M_NOT_FOUND");
    assert_eq!(
        failures[ours.master.public()]["errcode"],
        "M_INVALID_SIGNATURE"
    );
}

/// Somebody who has a password: `secret`.
#[tokio::test]
async fn signatures_for_too_many_keys_at_once_are_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let keys = |count: usize| -> Value {
        let keys = (0..count).map(|number| (format!("D{number}"), json!({})));
        json!({ &*alice.user_id: keys.collect::<serde_json::Map<_, _>>() })
    };
    let most = crate::limits::SIGNED_KEYS_PER_REQUEST;
    alice.post(SIGNATURES, keys(most)).await;
    let answer = refused(&alice, Method::POST, SIGNATURES, keys(most + 1)).await;
    assert_eq!(
        answer,
        (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE".to_owned())
    );
}

async fn registered(test: &TestServer, name: &str) -> TestUser {
    let body = json!({
        "username": name, "password": "secret",
        "auth": { "type": "m.login.registration_token", "token": "let me in" },
    });
    let path = "/_matrix/client/v3/register";
    let (status, answer) = test.call(Method::POST, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    let mut person = test.person("somebody").await;
    person.user_id = text("user_id").try_into().unwrap();
    person.device_id = text("device_id");
    person.token = text("access_token");
    person
}

/// A server on which people can register.
async fn open_server() -> TestServer {
    TestServer::start_with(|config| {
        config.registration.allow_registration = true;
        config.registration.registration_token = Some(crate::config::Secret::new("let me in"));
    })
    .await
}

#[tokio::test]
async fn whoever_is_gone_leaves_no_keys_behind() {
    let test = open_server().await;
    let (alice, bob) = (registered(&test, "alice").await, test.person("bob").await);
    let keys = device_keys(&alice, &Key::of_device(&alice.device_id));
    let upload = "/_matrix/client/v3/keys/upload";
    alice.post(upload, json!({ "device_keys": keys })).await;
    alice.post(UPLOAD, Identity::new().upload(&alice)).await;
    let backup = json!({ "algorithm": "test", "auth_data": {} });
    alice
        .post("/_matrix/client/v3/room_keys/version", backup)
        .await;
    let auth = json!({
        "type": "m.login.password", "password": "secret",
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    let path = "/_matrix/client/v3/account/deactivate";
    alice.post(path, json!({ "auth": auth })).await;

    let shown = query(&bob, &alice).await;
    assert_eq!(shown["device_keys"][alice.user_id.as_str()], json!({}));
    assert!(shown["master_keys"].is_null());
    let store = &test.server.store;
    let mut backups = store.scan::<tables::BackupVersions>((&alice.user_id,));
    assert!(backups.next().is_none());
}

#[tokio::test]
async fn the_password_replaces_keys() {
    let test = open_server().await;
    let alice = registered(&test, "alice").await;
    alice.post(UPLOAD, Identity::new().upload(&alice)).await;
    let reset = Identity::new();
    let mut upload = reset.upload(&alice);
    let (status, answer) = alice.call(Method::POST, UPLOAD, upload.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    upload["auth"] = json!({
        "type": "m.login.password", "session": answer["session"], "password": "wrong",
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    let (status, _) = alice.call(Method::POST, UPLOAD, upload.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    upload["auth"]["password"] = json!("secret");
    alice.post(UPLOAD, upload).await;
    let shown = query(&alice, &alice).await;
    let shown = &shown["master_keys"][alice.user_id.as_str()];
    assert_eq!(shown, &reset.master(&alice));
}

#[tokio::test]
async fn signatures_by_keys_that_are_gone_do_not_pile_up() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let hers = Identity::new();
    alice.post(UPLOAD, hers.upload(&alice)).await;
    let store = &test.server.store;
    for round in 0..5 {
        // As if he had given his password.
        let mut batch = store.batch();
        batch
            .delete_all::<tables::CrossSigningKeys>((&bob.user_id,))
            .unwrap();
        store.commit(batch).await.unwrap();
        let his = Identity::new();
        bob.post(UPLOAD, his.upload(&bob)).await;
        let signed = his.user_signing.sign(&bob, hers.master(&alice));
        let body = json!({ &*alice.user_id: { hers.master.public(): signed } });
        let answer = bob.post(SIGNATURES, body).await;
        let failures = answer["failures"].as_object();
        assert!(failures.is_none_or(serde_json::Map::is_empty), "{answer}");
        let rows = store.scan::<tables::KeySignatures>((&alice.user_id,));
        assert_eq!(rows.count(), 1, "{round}");
        let shown = query(&bob, &alice).await;
        let master = &shown["master_keys"][alice.user_id.as_str()];
        let signatures = master["signatures"][bob.user_id.as_str()].as_object();
        assert_eq!(signatures.map(serde_json::Map::len), Some(1), "{round}");
    }
}
