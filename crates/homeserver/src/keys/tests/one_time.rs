//! One-time keys: each once, then the fallback key.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::*;
use crate::{http::tests::sockets::until, keys, testing::TestServer};

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";
const CLAIM: &str = "/_matrix/client/v3/keys/claim";

fn numbered(person: &TestUser, count: usize) -> Value {
    let keys = (0..count).map(|number| {
        (
            format!("signed_curve25519:AAAA{number:03}"),
            one_time_key(person, number),
        )
    });
    Value::Object(keys.collect::<Map<_, _>>())
}

async fn claim(from: &TestUser, by: &TestUser) -> Value {
    let wanted =
        json!({ "one_time_keys": { &*from.user_id: { &*from.device_id: "signed_curve25519" } } });
    let answer = by.post(CLAIM, wanted).await;
    answer["one_time_keys"][from.user_id.as_str()][from.device_id.as_str()].clone()
}

#[tokio::test]
async fn keys_are_given_out_in_their_order_and_then_the_fallback_key() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let upload = json!({
        "one_time_keys": numbered(&alice, 2),
        "fallback_keys": { "signed_curve25519:FALLBACK": one_time_key(&alice, 9) },
    });
    let answer = alice.post(UPLOAD, upload.clone()).await;
    assert_eq!(answer["one_time_key_counts"]["signed_curve25519"], 2);
    // The same keys once more are the same keys.
    let answer = alice.post(UPLOAD, upload).await;
    assert_eq!(answer["one_time_key_counts"]["signed_curve25519"], 2);
    let other =
        json!({ "one_time_keys": { "signed_curve25519:AAAA001": one_time_key(&alice, 7) } });
    let (status, _) = alice.call(Method::POST, UPLOAD, other).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let (store, device) = (&test.server.store, alice.device_id.as_str().into());
    let unused = || keys::unused_fallback_types(store, &alice.user_id, device).unwrap();
    for number in 0..2 {
        let name = format!("signed_curve25519:AAAA{number:03}");
        assert_eq!(
            claim(&alice, &bob).await[name],
            one_time_key(&alice, number)
        );
    }
    assert_eq!(unused().len(), 1);
    for _ in 0..2 {
        let fallback = claim(&alice, &bob).await["signed_curve25519:FALLBACK"].clone();
        assert_eq!(fallback, one_time_key(&alice, 9));
        assert!(unused().is_empty());
    }
    let counts = keys::one_time_key_counts(store, &alice.user_id, device).unwrap();
    assert_eq!(json!(counts), json!({ "signed_curve25519": 0 }));
}

#[tokio::test]
async fn a_hundred_who_claim_at_once_never_get_the_same_key() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    alice
        .post(UPLOAD, json!({ "one_time_keys": numbered(&alice, 50) }))
        .await;
    let claims = (0..100).map(|_| {
        let (alice, bob) = (alice.clone(), bob.clone());
        tokio::spawn(async move { claim(&alice, &bob).await })
    });
    let mut given = Vec::new();
    for answer in join_all(claims).await {
        if let Value::Object(keys) = answer.unwrap() {
            given.extend(keys.into_iter().map(|(id, _)| id));
        }
    }
    assert_eq!(given.len(), 50);
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>().len(), 50);
}

#[tokio::test]
async fn a_claim_wakes_the_owner() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    alice
        .post(UPLOAD, json!({ "one_time_keys": numbered(&alice, 1) }))
        .await;
    let mut watcher = test.server.stream.watch(&alice.user_id);
    claim(&alice, &bob).await;
    assert!(watcher.wait(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn the_identity_of_a_device_never_changes() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let key = Key::of_device(&alice.device_id);
    let keys = device_keys(&alice, &key);
    alice.post(UPLOAD, json!({ "device_keys": keys })).await;
    alice.post(UPLOAD, json!({ "device_keys": keys })).await;
    let other = device_keys(&alice, &Key::of_device(&alice.device_id));
    let answer = refused(
        &alice,
        Method::POST,
        UPLOAD,
        json!({ "device_keys": other }),
    )
    .await;
    assert_eq!(
        answer,
        (StatusCode::BAD_REQUEST, "M_INVALID_PARAM".to_owned())
    );
    let mut foreign = keys.clone();
    foreign["device_id"] = json!("OTHER");
    let answer = refused(
        &alice,
        Method::POST,
        UPLOAD,
        json!({ "device_keys": foreign }),
    )
    .await;
    assert_eq!(answer.0, StatusCode::BAD_REQUEST);

    let query = json!({ "device_keys": { &*alice.user_id: [], "@nobody:letta.test": [] } });
    let answer = alice.post("/_matrix/client/v3/keys/query", query).await;
    let shown = &answer["device_keys"][alice.user_id.as_str()][alice.device_id.as_str()];
    assert_eq!(shown, &keys);
    assert!(answer["device_keys"]["@nobody:letta.test"].is_null());
}

#[tokio::test]
async fn a_device_has_not_too_many_keys_nor_too_large_ones() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let keys_beyond = (0..=crate::limits::ONE_TIME_KEYS_PER_DEVICE).map(|number| {
        let id = format!("signed_curve25519:AAAA{number}");
        (id, one_time_key(&alice, 1))
    });
    let many = json!({ "one_time_keys": keys_beyond.collect::<Map<_, _>>() });
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE".to_owned());
    assert_eq!(refused(&alice, Method::POST, UPLOAD, many).await, too_large);
    let key = json!({ "key": "x".repeat(crate::limits::ONE_TIME_KEY_MAX_BYTES), "signatures": {} });
    let large = json!({ "one_time_keys": { "signed_curve25519:AAAA": key } });
    assert_eq!(
        refused(&alice, Method::POST, UPLOAD, large).await,
        too_large
    );
    let (store, device) = (&test.server.store, alice.device_id.as_str().into());
    let counts = keys::one_time_key_counts(store, &alice.user_id, device).unwrap();
    assert_eq!(json!(counts), json!({ "signed_curve25519": 0 }));
}

/// Uploads one key of each of these people, and asks for all of them at once.
async fn upload_one_each(people: &[&TestUser]) -> Value {
    for person in people {
        person
            .post(UPLOAD, json!({ "one_time_keys": numbered(person, 1) }))
            .await;
    }
    let devices = people.iter().map(|person| {
        let devices = json!({ &*person.device_id: "signed_curve25519" });
        (person.user_id.to_string(), devices)
    });
    json!({ "one_time_keys": devices.collect::<Map<_, _>>() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_that_waits_for_one_user_holds_up_no_other() {
    let test = TestServer::start().await;
    let (anna, mary, zoe) = (
        test.person("anna").await,
        test.person("mary").await,
        test.person("zoe").await,
    );
    let bob = test.person("bob").await;
    let wanted = upload_one_each(&[&anna, &mary, &zoe]).await;
    let keys = &test.server.keys;
    // Before, between and behind whoever is busy.
    for busy in [&zoe, &mary, &anna] {
        let held = keys.lock([&*busy.user_id]).await;
        let claiming = tokio::spawn({
            let (bob, wanted) = (bob.clone(), wanted.clone());
            async move { bob.post(CLAIM, wanted).await }
        });
        until(|| keys.interested(&busy.user_id) == 2).await;
        for other in [&anna, &mary, &zoe] {
            if other.user_id != busy.user_id {
                until(|| keys.interested(&other.user_id) == 0).await;
            }
        }
        assert!(!claiming.is_finished());
        drop(held);
        claiming.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_claim_of_many_get_each_key_once() {
    const PEOPLE: usize = 40;
    let test = TestServer::start().await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(test.person(&format!("user{number}")).await);
    }
    let wanted = upload_one_each(&people.iter().collect::<Vec<_>>()).await;
    let asked = people[..8]
        .iter()
        .map(|person| person.post(CLAIM, wanted.clone()));
    let answers = join_all(asked).await;
    let given = answers
        .iter()
        .map(|answer| answer["one_time_keys"].as_object().unwrap().len());
    assert_eq!(given.sum::<usize>(), PEOPLE);
}
