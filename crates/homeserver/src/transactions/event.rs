//! An event as application services get it: without `age`, and with a transaction id only if the event is their own.

use ruma::events::TimelineEventType;
use serde_json::{Map, Value, json};

use crate::{
    appservices::Appservice,
    error::Result,
    rooms::{Pdu, Rooms},
};

/// The event as the application service gets it.
pub(super) fn appservice_json(rooms: &Rooms, pdu: &Pdu, appservice: &Appservice) -> Result<Value> {
    let mut event = json!({
        "event_id": pdu.event_id,
        "type": pdu.kind,
        "room_id": pdu.room_id,
        "sender": pdu.sender,
        "content": pdu.content,
        "origin_server_ts": pdu.origin_server_ts,
    });
    if let Some(key) = &pdu.state_key {
        event["state_key"] = json!(key);
    }
    if let Some(redacts) = &pdu.redacts {
        event["redacts"] = json!(redacts);
        // Old libraries read it above, new ones read it in the content.
        if pdu.kind == TimelineEventType::RoomRedaction {
            event["content"]["redacts"] = json!(redacts);
        }
    }
    let unsigned = unsigned(rooms, pdu, appservice)?;
    if !unsigned.is_empty() {
        event["unsigned"] = Value::Object(unsigned);
    }
    Ok(event)
}

fn unsigned(rooms: &Rooms, pdu: &Pdu, appservice: &Appservice) -> Result<Map<String, Value>> {
    let mut unsigned = Map::new();
    if let Some(sent) = &pdu.send_id
        && appservice.is_own(&pdu.sender)
    {
        unsigned.insert("transaction_id".to_owned(), json!(sent.id));
    }
    if let Some(replaced) = &pdu.replaces
        && let Some(before) = rooms.event(replaced)?
    {
        unsigned.insert("prev_content".to_owned(), json!(before.content));
        unsigned.insert("prev_sender".to_owned(), json!(before.sender));
        unsigned.insert("replaces_state".to_owned(), json!(replaced));
    }
    if let Some(redaction) = &pdu.redacted_by {
        unsigned.insert("redacted_by".to_owned(), json!(redaction));
    }
    Ok(unsigned)
}
