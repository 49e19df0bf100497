//! End-to-end encryption as a client sees it: everything goes through the router.

use http::{Method, StatusCode};
use ruma::{
    CanonicalJsonObject,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json};

use crate::testing::TestUser;

mod backup;
mod cross_signing;
mod dehydrated;
mod device_lists;
mod one_time;
mod sync;
mod to_device;

/// A signing key whose id is a device's or its own public key.
struct Key {
    pair: Ed25519KeyPair,
}

impl Key {
    fn of_device(device: &str) -> Self {
        let document = Ed25519KeyPair::generate();
        let pair = Ed25519KeyPair::from_der(&document, device.to_owned()).unwrap();
        Self { pair }
    }

    fn of_person() -> Self {
        let document = Ed25519KeyPair::generate();
        let pair = Ed25519KeyPair::from_der(&document, "unnamed".to_owned()).unwrap();
        let name = Base64::<Standard>::new(pair.public_key().to_vec()).encode();
        let pair = Ed25519KeyPair::from_der(&document, name).unwrap();
        Self { pair }
    }

    fn public(&self) -> String {
        Base64::<Standard, _>::new(self.pair.public_key().to_vec()).encode()
    }

    fn id(&self) -> String {
        format!("ed25519:{}", self.pair.version())
    }

    /// The object with a signature of this key added.
    fn sign(&self, by: &TestUser, object: Value) -> Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(object).unwrap();
        sign_json(by.user_id.as_str(), &self.pair, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }
}

/// The identity keys of a device, signed by it.
fn device_keys(person: &TestUser, key: &Key) -> Value {
    let device = &person.device_id;
    key.sign(
        person,
        json!({
            "user_id": person.user_id,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("curve25519:{device}"): "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI",
                format!("ed25519:{device}"): key.public(),
            },
        }),
    )
}

/// A one-time key with this number in it. Nobody verifies its signature but the one who claims it.
fn one_time_key(person: &TestUser, number: usize) -> Value {
    json!({
        "key": Base64::<Standard, _>::new(vec![u8::try_from(number).unwrap(); 32]).encode(),
        "signatures": { &*person.user_id: { format!("ed25519:{}", person.device_id): "c2lnbmF0dXJl" } },
    })
}

/// New cross-signing keys of somebody, as a client uploads them.
pub(crate) fn cross_signing_upload(person: &TestUser) -> Value {
    cross_signing::Identity::new().upload(person)
}

async fn refused(
    person: &TestUser,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, String) {
    let (status, answer) = person.call(method, path, body).await;
    (
        status,
        answer["errcode"].as_str().unwrap_or_default().to_owned(),
    )
}
