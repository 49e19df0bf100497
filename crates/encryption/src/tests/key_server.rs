//! A double of what a homeserver does for encryption: it keeps keys, hands out each one-time key once, and holds to-device messages.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use async_trait::async_trait;
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId,
    api::client::{
        keys::{claim_keys, get_keys, upload_keys, upload_signatures, upload_signing_keys},
        to_device::send_event_to_device,
    },
    events::AnyToDeviceEvent,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::{Value, json};

use crate::Requests;

/// The double refuses what a homeserver would refuse.
#[derive(Debug, thiserror::Error)]
#[error("refused: {0}")]
pub(super) struct Refused(&'static str);

type Place = (OwnedUserId, OwnedDeviceId);

#[derive(Default)]
struct Keys {
    devices: HashMap<Place, Value>,
    one_time: HashMap<Place, BTreeMap<String, Value>>,
    masters: HashMap<OwnedUserId, Value>,
    self_signing: HashMap<OwnedUserId, Value>,
    messages: HashMap<OwnedUserId, Vec<Value>>,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct KeyServer(Mutex<Keys>);

/// The homeserver as one user and device sees it.
pub(super) struct User<'a> {
    server: &'a KeyServer,
    place: Place,
}

impl KeyServer {
    pub(super) fn as_user(&self, user: &UserId, device: &DeviceId) -> User<'_> {
        User {
            server: self,
            place: (user.to_owned(), device.to_owned()),
        }
    }

    pub(super) fn take_messages(&self, user: &UserId) -> Vec<Raw<AnyToDeviceEvent>> {
        let messages = self.0.lock().unwrap().messages.remove(user);
        let messages = messages.unwrap_or_default().into_iter();
        messages
            .map(|message| Raw::from_json_string(message.to_string()).unwrap())
            .collect()
    }

    /// Whether the user's self-signing key has signed a device of theirs.
    pub(super) fn is_cross_signed(&self, user: &UserId) -> bool {
        let keys = self.0.lock().unwrap();
        let Some(own) = keys.self_signing.get(user) else {
            return false;
        };
        let id = own["keys"].as_object().unwrap().keys().next().unwrap();
        let mut devices = keys.devices.iter().filter(|((owner, _), _)| owner == user);
        devices.all(|(_, device)| device["signatures"][user.as_str()][id].is_string())
    }
}

#[async_trait]
impl Requests for User<'_> {
    type Error = Refused;

    async fn upload_keys(
        &self,
        request: upload_keys::v3::Request,
    ) -> Result<upload_keys::v3::Response, Refused> {
        let mut keys = self.server.0.lock().unwrap();
        if let Some(device) = &request.device_keys {
            let device = serde_json::to_value(device).unwrap();
            keys.devices.insert(self.place.clone(), device);
        }
        let own = keys.one_time.entry(self.place.clone()).or_default();
        for (id, key) in &request.one_time_keys {
            let key = serde_json::to_value(key).unwrap();
            if own
                .insert(id.to_string(), key.clone())
                .is_some_and(|old| old != key)
            {
                return Err(Refused("one time key already exists"));
            }
        }
        let count = u32::try_from(own.len()).unwrap();
        let counts = json!({ "signed_curve25519": count });
        Ok(upload_keys::v3::Response::new(
            serde_json::from_value(counts).unwrap(),
        ))
    }

    async fn query_keys(
        &self,
        request: get_keys::v3::Request,
    ) -> Result<get_keys::v3::Response, Refused> {
        let keys = self.server.0.lock().unwrap();
        let mut answer = get_keys::v3::Response::new();
        for user in request.device_keys.keys() {
            let own = keys.devices.iter().filter(|((owner, _), _)| owner == user);
            let own = own.map(|((_, device), keys)| (device.clone(), raw(keys)));
            answer.device_keys.insert(user.clone(), own.collect());
            if let Some(master) = keys.masters.get(user) {
                answer.master_keys.insert(user.clone(), raw(master));
            }
            if let Some(key) = keys.self_signing.get(user) {
                answer.self_signing_keys.insert(user.clone(), raw(key));
            }
        }
        Ok(answer)
    }

    async fn claim_keys(
        &self,
        request: claim_keys::v3::Request,
    ) -> Result<claim_keys::v3::Response, Refused> {
        let mut keys = self.server.0.lock().unwrap();
        let mut claimed: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, _>> = BTreeMap::new();
        for (user, devices) in request.one_time_keys {
            for device in devices.into_keys() {
                let own = keys.one_time.get_mut(&(user.clone(), device.clone()));
                let Some((id, key)) = own.and_then(BTreeMap::pop_first) else {
                    continue;
                };
                let id = id.parse().unwrap();
                let of_user = claimed.entry(user.clone()).or_default();
                of_user.insert(device, BTreeMap::from([(id, raw(&key))]));
            }
        }
        Ok(claim_keys::v3::Response::new(claimed))
    }

    async fn send_to_device(
        &self,
        request: send_event_to_device::v3::Request,
    ) -> Result<send_event_to_device::v3::Response, Refused> {
        let mut keys = self.server.0.lock().unwrap();
        for (user, devices) in request.messages {
            for (device, content) in devices {
                assert!(matches!(device, DeviceIdOrAllDevices::DeviceId(_)));
                keys.messages.entry(user.clone()).or_default().push(json!({
                    "type": request.event_type, "sender": self.place.0, "content": content,
                }));
            }
        }
        Ok(send_event_to_device::v3::Response::new())
    }

    async fn upload_signing_keys(
        &self,
        request: upload_signing_keys::v3::Request,
    ) -> Result<(), Refused> {
        let mut keys = self.server.0.lock().unwrap();
        let user = &self.place.0;
        for (key, place) in [(request.master_key, 0), (request.self_signing_key, 1)] {
            let key: Value = serde_json::from_str(key.unwrap().json().get()).unwrap();
            let all = if place == 0 {
                &mut keys.masters
            } else {
                &mut keys.self_signing
            };
            if all
                .insert(user.clone(), key.clone())
                .is_some_and(|old| old != key)
            {
                return Err(Refused("another identity"));
            }
        }
        Ok(())
    }

    async fn upload_signatures(
        &self,
        request: upload_signatures::v3::Request,
    ) -> Result<upload_signatures::v3::Response, Refused> {
        let mut keys = self.server.0.lock().unwrap();
        let signed = serde_json::to_value(&request.signed_keys).unwrap();
        let own = &signed[self.place.0.as_str()];
        if let Some(device) = own.get(self.place.1.as_str()) {
            let known = keys.devices.get_mut(&self.place).unwrap();
            for (user, signatures) in device["signatures"].as_object().unwrap() {
                for (id, signature) in signatures.as_object().unwrap() {
                    known["signatures"][user][id] = signature.clone();
                }
            }
        }
        Ok(upload_signatures::v3::Response::new())
    }
}

fn raw<T>(value: &Value) -> Raw<T> {
    Raw::from_json_string(value.to_string()).unwrap()
}
