//! Those who write while the server is killed: each does one thing again and again, and notes what was acknowledged.
//!
//! What may be repeated without harm is repeated until the server answers, under the same transaction id, as clients do. What may
//! not (a claim, an upload) is given up, and the next one made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::account::{Account, part};
use super::ledger::{Ledger, Sent};

/// How long a server may be away before a writer gives up.
const AWAY_MAX: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(5);
/// A pause of those whose work is dear, so that the others get their turn.
const BREATH: Duration = Duration::from_millis(20);
/// The largest file, in bytes.
const FILE_MAX: usize = 40_000;

/// What all writers share.
#[derive(Clone)]
pub struct WriterContext {
    pub url: String,
    pub ledger: Arc<Mutex<Ledger>>,
    pub over: Arc<AtomicBool>,
}

impl WriterContext {
    pub fn note(&self, entry: impl FnOnce(&mut Ledger)) {
        entry(&mut self.ledger.lock().unwrap());
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }
}

/// Asks until the server answers.
async fn surely(account: &Account, method: Method, path: &str, body: &Value) -> Value {
    let began = Instant::now();
    loop {
        match account.ask(method.clone(), path, Some(body)).await {
            Ok((StatusCode::OK, answer)) => return answer,
            Ok((status, answer)) => panic!("{method} {path}: {status} {answer}"),
            Err(error) => assert!(began.elapsed() < AWAY_MAX, "{method} {path}: {error:?}"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Messages in a room.
pub async fn messages(ctx: WriterContext, account: Account, room: String) {
    for number in 0.. {
        if !ctx.goes_on() {
            return;
        }
        let txn = format!("{}-{number}", account.device_id);
        let body = format!("{} {number}", account.user_id);
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{txn}",
            part(&room)
        );
        let content = json!({ "msgtype": "m.text", "body": body });
        let answer = surely(&account, Method::PUT, &path, &content).await;
        let event_id = answer["event_id"].as_str().expect("an event").to_owned();
        let sent = Sent {
            room: room.clone(),
            event_id,
            body,
        };
        ctx.note(|ledger| ledger.events.push(sent));
    }
}

/// Messages to the devices of a user.
pub async fn to_devices(ctx: WriterContext, account: Account, user: String) {
    for number in 0.. {
        if !ctx.goes_on() {
            return;
        }
        let text = format!("{} {number}", account.device_id);
        let path = format!(
            "/_matrix/client/v3/sendToDevice/org.example.count/{}",
            part(&text)
        );
        let body = json!({ "messages": { &user: { "*": { "text": text } } } });
        surely(&account, Method::PUT, &path, &body).await;
        ctx.note(|ledger| ledger.to_device.push(text));
        tokio::time::sleep(BREATH).await;
    }
}

/// A number in the account data that only grows.
pub async fn account_data(ctx: WriterContext, account: Account) {
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/org.example.counter",
        part(&account.user_id)
    );
    for number in 1.. {
        if !ctx.goes_on() {
            return;
        }
        ctx.note(|ledger| ledger.data_asked = number);
        surely(&account, Method::PUT, &path, &json!({ "number": number })).await;
        ctx.note(|ledger| ledger.data_kept = number);
    }
}

/// Files.
pub async fn media(ctx: WriterContext, account: Account) {
    for number in 0_usize.. {
        if !ctx.goes_on() {
            return;
        }
        let size = (number * 7_919) % FILE_MAX + 8;
        let content: Vec<u8> = number
            .to_be_bytes()
            .into_iter()
            .cycle()
            .take(size)
            .collect();
        if let Ok(address) = account.upload(content.clone()).await {
            ctx.note(|ledger| ledger.media.push((address, content)));
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// One-time keys of a device. One that was claimed before its uploader heard of it must not be offered again, so what was not
/// acknowledged is not repeated.
pub async fn one_time_keys(ctx: WriterContext, account: Account) {
    for number in 0.. {
        if !ctx.goes_on() {
            return;
        }
        let key = |part: usize| format!("signed_curve25519:key{number}x{part}");
        let keys: serde_json::Map<String, Value> = (0..5)
            .map(|part| (key(part), json!({ "key": key(part), "signatures": {} })))
            .collect();
        let count = keys.len();
        let body = json!({ "one_time_keys": keys });
        let path = "/_matrix/client/v3/keys/upload";
        match account.ask(Method::POST, path, Some(&body)).await {
            Err(error) if error.is_connect() => {}
            Err(_) => ctx.note(|ledger| ledger.uploads_unseen += count),
            // A device has enough of them, until some are claimed.
            Ok((StatusCode::PAYLOAD_TOO_LARGE, _)) => {}
            Ok((status, answer)) => {
                assert_eq!(status, StatusCode::OK, "{answer}");
                ctx.note(|ledger| ledger.keys_uploaded += count);
            }
        }
        tokio::time::sleep(BREATH * 3).await;
    }
}

/// Claims of those keys.
pub async fn claims(ctx: WriterContext, account: Account, owner: Account) {
    let body =
        json!({ "one_time_keys": { &owner.user_id: { &owner.device_id: "signed_curve25519" } } });
    while ctx.goes_on() {
        let path = "/_matrix/client/v3/keys/claim";
        match account.ask(Method::POST, path, Some(&body)).await {
            // Nothing was asked of a server that is not there.
            Err(error) if error.is_connect() => {}
            Err(_) => ctx.note(|ledger| ledger.claims_unseen += 1),
            Ok((status, answer)) => {
                assert_eq!(status, StatusCode::OK, "{answer}");
                let keys = &answer["one_time_keys"][&owner.user_id][&owner.device_id];
                let keys = keys.as_object().into_iter().flatten();
                let keys: Vec<String> = keys.map(|(id, _)| id.clone()).collect();
                ctx.note(|ledger| ledger.keys_claimed.extend(keys));
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Sessions: people log in, publish the keys of the device, and some log out again.
pub async fn sessions(ctx: WriterContext, user: String) {
    for number in 0.. {
        if !ctx.goes_on() {
            return;
        }
        let Ok(session) = Account::log_in(&ctx.url, &user).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        if number % 3 == 0 {
            if let Ok((StatusCode::OK, _)) = session
                .ask(Method::POST, "/_matrix/client/v3/logout", Some(&json!({})))
                .await
            {
                ctx.note(|ledger| ledger.ended.push(session));
            }
            continue;
        }
        let key = format!("key of {}", session.device_id);
        surely(
            &session,
            Method::POST,
            "/_matrix/client/v3/keys/upload",
            &device_keys(&session, &key),
        )
        .await;
        ctx.note(|ledger| {
            ledger.sessions.push(session.clone());
            ledger.devices.push((session, key));
        });
    }
}

fn device_keys(session: &Account, key: &str) -> Value {
    let (user, device) = (&session.user_id, &session.device_id);
    json!({ "device_keys": {
        "user_id": user, "device_id": device, "algorithms": [],
        "keys": { format!("ed25519:{device}"): key },
        "signatures": { user: { format!("ed25519:{device}"): "not looked at" } },
    } })
}
