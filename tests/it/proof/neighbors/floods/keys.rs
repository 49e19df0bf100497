//! Keys: asking for very many people's, claiming theirs, and storing a backup again and again.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};

use crate::proof::account::part;
use crate::proof::neighbors::flood::{Round, round};
use crate::proof::neighbors::stage::{Stage, body};

/// Asks for the keys of people, of whom most do not exist, and claims theirs.
pub async fn queries(stage: Arc<Stage>) -> Round {
    let domain = stage.attackers[0]
        .user_id
        .split_once(':')
        .expect("a user id")
        .1;
    let people = (0..stage.size(100, 10_000)).map(|number| match number % 100 {
        0 => stage.attacker(number / 100).user_id.clone(),
        _ => format!("@nobody{number}:{domain}"),
    });
    let people: Vec<_> = people.collect();
    let with = |each: Value| -> Map<_, _> {
        people
            .iter()
            .map(|user| (user.clone(), each.clone()))
            .collect()
    };
    let query = body(&json!({ "device_keys": with(json!([])) }));
    let claim = body(&json!({ "one_time_keys": with(json!({ "DEVICE": "signed_curve25519" })) }));
    round(move |task, number| {
        let stage = stage.clone();
        let (path, content) = match number % 2 {
            0 => ("/_matrix/client/v3/keys/query", query.clone()),
            _ => ("/_matrix/client/v3/keys/claim", claim.clone()),
        };
        async move { stage.fire(task, Method::POST, path, content).await }
    })
}

/// Stores large parts of a backup, each time another one.
pub async fn backup(stage: Arc<Stage>) -> Round {
    let mut versions = Vec::new();
    for attacker in &stage.attackers {
        let version = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": { "public_key": "a".repeat(43), "signatures": {} } });
        let made = attacker.post("/_matrix/client/v3/room_keys/version", &version);
        versions.push(
            made.await["version"]
                .as_str()
                .expect("a version")
                .to_owned(),
        );
    }
    let contents: Vec<_> = (0..2)
        .map(|part| keys(part, stage.size(10, 1_000)))
        .collect();
    round(move |task, number| {
        let (stage, content) = (stage.clone(), contents[number % 2].clone());
        let version = part(&versions[task % versions.len()]);
        let path = format!("/_matrix/client/v3/room_keys/keys?version={version}");
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}

/// Keys of one room, which are better from part to part.
fn keys(part: usize, count: usize) -> bytes::Bytes {
    let key = json!({
        "first_message_index": 2 - part, "forwarded_count": 0, "is_verified": true,
        "session_data": { "ciphertext": "x".repeat(1_500), "ephemeral": "aaaa", "mac": "aaaa" },
    });
    let sessions = (0..count).map(|number| (format!("session{number}"), key.clone()));
    let sessions: Map<_, _> = sessions.collect();
    body(&json!({ "rooms": { "!room:letta.test": { "sessions": sessions } } }))
}
