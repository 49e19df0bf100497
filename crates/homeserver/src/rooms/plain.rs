//! A state event in the client format, with nothing that depends on who looks.

use ruma::serde::Raw;
use serde_json::{json, value::to_raw_value};

use super::Pdu;
use crate::error::Result;

/// The state event with its room.
pub fn state<T>(pdu: &Pdu) -> Result<Raw<T>> {
    let event = json!({
        "content": &pdu.content,
        "event_id": pdu.event_id,
        "origin_server_ts": pdu.origin_server_ts,
        "room_id": pdu.room_id,
        "sender": pdu.sender,
        "state_key": pdu.state_key,
        "type": pdu.kind,
    });
    Ok(Raw::from_json(to_raw_value(&event)?))
}
