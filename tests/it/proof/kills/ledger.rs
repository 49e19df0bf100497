//! What the server has acknowledged, and the look whether it is still there.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use rand::Rng as _;
use serde_json::{Value, json};

use super::super::account::{Account, part};

/// How many of each kind are looked at after a restart: the last ones, and as many of all before.
const LOOKS: usize = 6;

/// An event that was acknowledged.
#[derive(Clone, Debug)]
pub struct Sent {
    pub room: String,
    pub event_id: String,
    pub body: String,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub events: Vec<Sent>,
    /// Address and content.
    pub media: Vec<(String, Vec<u8>)>,
    /// Sessions that live, and those that were ended.
    pub sessions: Vec<Account>,
    pub ended: Vec<Account>,
    /// Devices with the identity key that each has published.
    pub devices: Vec<(Account, String)>,
    /// The last number that was asked to be kept, and the last that is.
    pub data_asked: u64,
    pub data_kept: u64,
    pub keys_uploaded: usize,
    /// Keys in uploads that nobody saw the answer of: they may be there.
    pub uploads_unseen: usize,
    /// One-time keys that somebody got.
    pub keys_claimed: Vec<String>,
    /// Claims that nobody saw the answer of: each may have used up a key.
    pub claims_unseen: usize,
    /// Bodies of messages to devices.
    pub to_device: Vec<String>,
}

/// The last of a list, and some of all before.
fn some<T: Clone>(all: &[T]) -> Vec<T> {
    let recent = all.iter().rev().take(LOOKS).cloned();
    let mut rng = rand::rng();
    let older = (0..LOOKS.min(all.len())).map(|_| all[rng.random_range(0..all.len())].clone());
    recent.chain(older).collect()
}

impl Ledger {
    /// What is looked at after each restart.
    pub fn sample(&self) -> Self {
        Self {
            events: some(&self.events),
            media: some(&self.media),
            sessions: some(&self.sessions),
            ended: some(&self.ended),
            devices: some(&self.devices),
            data_kept: self.data_kept,
            ..Self::default()
        }
    }

    /// Looks for everything in this ledger. `reader` is in all rooms, `writer` has the account data.
    pub async fn look(&self, reader: &Account, writer: &Account) {
        for sent in &self.events {
            let path = format!(
                "/_matrix/client/v3/rooms/{}/event/{}",
                part(&sent.room),
                part(&sent.event_id)
            );
            let event = reader.get(&path).await;
            assert_eq!(event["content"]["body"], sent.body, "{event}");
        }
        for (address, content) in &self.media {
            let path = format!("/_matrix/client/v1/media/download/{address}");
            assert_eq!(
                reader.bytes(&path).await,
                *content,
                "{address} is another file"
            );
        }
        for session in &self.sessions {
            let me = session.get("/_matrix/client/v3/account/whoami").await;
            assert_eq!(me["device_id"], session.device_id);
        }
        for session in &self.ended {
            let path = "/_matrix/client/v3/account/whoami";
            let (status, _) = session
                .ask(Method::GET, path, None)
                .await
                .expect("an answer");
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "an ended session came back"
            );
        }
        for (device, key) in &self.devices {
            assert_eq!(
                identity_key(reader, device).await,
                json!(key),
                "{}",
                device.device_id
            );
        }
        let kept = counter(writer).await;
        assert!(
            kept >= self.data_kept,
            "{kept} is older than {}",
            self.data_kept
        );
    }

    /// What only adds up when nobody writes any more. `owner` is whose one-time keys were claimed.
    pub async fn settle(&self, owner: &Account, writer: &Account) {
        let distinct: BTreeSet<&String> = self.keys_claimed.iter().collect();
        assert_eq!(
            distinct.len(),
            self.keys_claimed.len(),
            "a one-time key was given twice"
        );
        let counts = owner
            .post("/_matrix/client/v3/keys/upload", &json!({}))
            .await;
        let left = counts["one_time_key_counts"]["signed_curve25519"]
            .as_u64()
            .unwrap_or(0);
        let left = usize::try_from(left).expect("few keys");
        let gone_or_left = left + self.keys_claimed.len();
        assert!(
            gone_or_left <= self.keys_uploaded + self.uploads_unseen
                && self.keys_uploaded <= gone_or_left + self.claims_unseen,
            "{} keys uploaded ({} perhaps), {} claimed ({} perhaps), {left} left",
            self.keys_uploaded,
            self.uploads_unseen,
            self.keys_claimed.len(),
            self.claims_unseen
        );
        assert!(counter(writer).await <= self.data_asked);
        let distinct: BTreeSet<&str> = self.events.iter().map(|sent| &*sent.event_id).collect();
        assert_eq!(
            distinct.len(),
            self.events.len(),
            "two messages got one event"
        );
    }
}

async fn counter(writer: &Account) -> u64 {
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/org.example.counter",
        part(&writer.user_id)
    );
    let (_, kept) = writer
        .ask(Method::GET, &path, None)
        .await
        .expect("an answer");
    kept["number"].as_u64().unwrap_or(0)
}

async fn identity_key(reader: &Account, device: &Account) -> Value {
    let (user, id) = (&device.user_id, &device.device_id);
    let body = json!({ "device_keys": { user: [id] } });
    let answer = reader.post("/_matrix/client/v3/keys/query", &body).await;
    answer["device_keys"][user][id]["keys"][format!("ed25519:{id}")].clone()
}
