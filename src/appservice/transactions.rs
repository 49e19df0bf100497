//! `PUT /_matrix/app/v1/transactions/{txnId}`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#put_matrixappv1transactionstxnid)).
//!
//! The answer waits for the disk and for nothing else. Transaction ids are not looked at: homeservers
//! send the same event in several transactions, and Tuwunel gives equal ephemeral transactions
//! equal ids, so only event ids tell what is new.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};
use ruma::OwnedEventId;
use serde_json::{Value, json, value::RawValue};
use tracing::{debug, warn};

use super::{
    AppserviceState,
    caller::FromHomeserver,
    error::ApiError,
    inbound::{self, Inbound, NamedMember, NoTransaction, RoomHint},
};
use crate::{journal::JournalError, time::Millis};

pub(super) async fn handle(
    _caller: FromHomeserver,
    State(state): State<AppserviceState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
        _ => ApiError::NotJson,
    })?;
    let (events, payload) = inbound::events_of(&body)?;
    for event in &events {
        if let Some(room) = inbound::room_of_recipients(event) {
            state.encryption.room_changed(&room);
        }
    }
    let users = state
        .encryption
        .queue_changes(&payload)
        .map_err(ApiError::Journal)?;
    let has_keys = !users.is_empty();
    let admitted = state.admit(events).await.map_err(ApiError::Journal)?;
    if has_keys && admitted == 0 {
        state.journal.durable().await.map_err(ApiError::Journal)?;
    }
    state.encryption.wake(users);
    Ok(Json(json!({})))
}

impl From<NoTransaction> for ApiError {
    fn from(why: NoTransaction) -> Self {
        match why {
            NoTransaction::NotJson => Self::NotJson,
            NoTransaction::BadJson(what) => Self::BadJson(what),
        }
    }
}

impl AppserviceState {
    /// Takes events into the journal that mean something to us and were not admitted before. Answers how many there were, once
    /// they are on disk.
    pub async fn admit(&self, events: Vec<Box<RawValue>>) -> Result<usize, JournalError> {
        let total = events.len();
        let events: Vec<_> = events
            .into_iter()
            .filter_map(|event| self.worth_admitting(event))
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

    fn worth_admitting(&self, event: Box<RawValue>) -> Option<(OwnedEventId, Box<RawValue>)> {
        let read = inbound::read(&self.identity, event);
        match &read {
            Ok((_, Some(RoomHint::Member(NamedMember { user, name })))) => {
                self.provision.member_changed(user.clone(), name.clone());
            }
            Ok((_, Some(RoomHint::Room(room)))) => self.provision.room_changed(room),
            Ok((_, None)) | Err(_) => {}
        }
        match read.map(|(inbound, _)| inbound) {
            Ok(Inbound::Admit(id, event)) => Some((id, event)),
            Ok(Inbound::StartEcho(id)) => {
                self.start_echo.note(id);
                None
            }
            Ok(Inbound::Nothing) => None,
            Err(error) => {
                warn!(%error, "ignoring a malformed event in a transaction");
                None
            }
        }
    }
}
