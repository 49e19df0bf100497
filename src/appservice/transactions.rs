//! `PUT /_matrix/app/v1/transactions/{txnId}`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#put_matrixappv1transactionstxnid)).
//!
//! The answer waits for the disk and for nothing else. Transaction ids are not looked at: homeservers
//! send the same event in several transactions, and Tuwunel gives equal ephemeral transactions
//! equal ids, so only event ids tell what is new.

use std::collections::HashMap;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tracing::{debug, warn};

use super::{Desk, caller::FromHomeserver, error::ApiError};
use crate::{journal::JournalError, matrix::START_EVENT_TYPE, time::Millis};

/// The longest event or room id, in bytes
/// ([spec](https://spec.matrix.org/v1.16/appendices/#opaque-identifiers)).
const ID_BYTES_MAX: usize = 255;

/// What every event must have to be worth a record.
#[derive(Deserialize)]
struct Envelope {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: Option<String>,
    content: serde_json::Map<String, Value>,
}

pub(super) async fn handle(
    _caller: FromHomeserver,
    State(desk): State<Desk>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
        _ => ApiError::NotJson,
    })?;
    let events = events_of(&body)?;
    desk.admit(events).await.map_err(ApiError::Journal)?;
    Ok(Json(json!({})))
}

impl Desk {
    /// Takes events into the journal that mean something to us and were not admitted before. Answers how many there were, once
    /// they are on disk.
    pub async fn admit(&self, events: Vec<Box<RawValue>>) -> Result<usize, JournalError> {
        let total = events.len();
        let events: Vec<_> = events
            .into_iter()
            .filter_map(|event| worth_admitting(self, event))
            .collect();
        if events.is_empty() {
            return Ok(0);
        }
        let new = self.journal.admit(events, Millis::now())?;
        // Routing begins while the disk writes. It promises nothing to anybody before a later
        // write is durable, and with that one these are.
        self.arrived.notify_one();
        self.journal.durable().await?;
        debug!(total, new, "admitted");
        Ok(new)
    }
}

/// The events of a body, as leniently as it can be read: every event on its own, bytes that are no
/// UTF-8 replaced. Ephemeral data, to-device messages and encryption counts, under stable or
/// unstable keys, are accepted and not used.
fn events_of(body: &[u8]) -> Result<Vec<Box<RawValue>>, ApiError> {
    let text = String::from_utf8_lossy(body);
    let body: HashMap<String, &RawValue> =
        serde_json::from_str(&text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ApiError::BadJson("it is not an object"),
            _ => ApiError::NotJson,
        })?;
    let Some(events) = body.get("events") else {
        return Ok(Vec::new());
    };
    serde_json::from_str(events.get()).map_err(|_| ApiError::BadJson("`events` is not a list"))
}

/// Leaves out what can never mean anything to us, so that it costs no write: our own echoes, types
/// that nobody routes, and what is no event at all.
fn worth_admitting(desk: &Desk, event: Box<RawValue>) -> Option<(OwnedEventId, Box<RawValue>)> {
    let envelope = match envelope_of(&event) {
        Ok(envelope) => envelope,
        Err(error) => {
            warn!(%error, "the homeserver sent an event that is none; it is left out");
            return None;
        }
    };
    let ours = |user: &UserId| desk.identity.is_ours(user);
    let wanted = match envelope.event_type.as_str() {
        "m.room.member" => {
            let about_us = envelope
                .state_key
                .as_deref()
                .and_then(|user| <&UserId>::try_from(user).ok())
                .is_some_and(ours);
            if let (false, Some(Ok(user))) = (
                about_us,
                envelope.state_key.as_deref().map(OwnedUserId::try_from),
            ) {
                let name = envelope.content.get("displayname").and_then(Value::as_str);
                desk.provision.member_changed(user, name.map(str::to_owned));
            }
            // Our own comings and goings are our own doing, unless somebody else did it.
            !(about_us && ours(&envelope.sender))
        }
        "m.room.message" | "m.room.encrypted" | "m.reaction" | "m.room.redaction" => {
            !ours(&envelope.sender)
        }
        // Whether an agent can speak depends on it; what is known of that must not outlive it.
        "m.room.power_levels" | "m.room.tombstone" => {
            envelope.state_key.is_some() && !ours(&envelope.sender)
        }
        START_EVENT_TYPE if ours(&envelope.sender) => {
            desk.start_echo.note(envelope.event_id);
            return None;
        }
        _ => false,
    };
    wanted.then_some((envelope.event_id, event))
}

fn envelope_of(event: &RawValue) -> Result<Envelope, serde_json::Error> {
    // An array could be read as an envelope too.
    if !event.get().starts_with('{') {
        return Err(serde::de::Error::custom("it is not an object"));
    }
    let envelope: Envelope = serde_json::from_str(event.get())?;
    let (event_id, room_id) = (envelope.event_id.as_str(), envelope.room_id.as_str());
    if event_id.len() > ID_BYTES_MAX || room_id.len() > ID_BYTES_MAX {
        return Err(serde::de::Error::custom("its id or its room's is too long"));
    }
    Ok(envelope)
}
