//! How a stored event is shown to a client.
//!
//! What was signed is never shown as it is: the client gets the fields of the client format, and in `unsigned` what depends on who
//! looks. Edits are bundled and never applied. Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-event-format>

use std::borrow::Cow;

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, RoomId, UserId,
    events::{
        AnyStateEvent, AnyStrippedStateEvent, AnySyncStateEvent, AnySyncTimelineEvent,
        AnyTimelineEvent, TimelineEventType,
    },
    serde::Raw,
};
use serde::Serialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{Pdu, Rooms, erased::redacted_copy};
use crate::{caller::Caller, error::Result};

mod bundle;
mod unsigned;

pub use homeserver_model::Viewer;

use unsigned::Unsigned;

impl From<&Caller> for Viewer {
    fn from(caller: &Caller) -> Self {
        Self {
            user_id: caller.user_id.clone(),
            device_id: caller.device_id.clone(),
        }
    }
}

/// An event in the client format.
#[derive(Serialize)]
struct View<'a> {
    content: Cow<'a, RawValue>,
    event_id: &'a EventId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a RoomId>,
    sender: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a TimelineEventType,
    unsigned: Unsigned<'a>,
}

/// An event as state that somebody sees who is not in the room.
#[derive(Serialize)]
struct Stripped<'a> {
    content: &'a RawValue,
    sender: &'a UserId,
    state_key: &'a str,
    #[serde(rename = "type")]
    kind: &'a TimelineEventType,
}

/// Whether the event names its room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Named,
    Known,
}

/// An event of a timeline, with its room.
pub fn timeline(rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Raw<AnyTimelineEvent>> {
    let redacted = redacted_copy(rooms, &viewer.user_id, pdu)?;
    let pdu = redacted.as_ref().unwrap_or(pdu);
    let unsigned = Unsigned::of(rooms, pdu, viewer)?.with_bundle(rooms, pdu, viewer)?;
    show(pdu, Room::Named, unsigned)
}

/// An event of a timeline, where the room is known.
pub fn sync_timeline(
    rooms: &Rooms,
    pdu: &Pdu,
    viewer: &Viewer,
) -> Result<Raw<AnySyncTimelineEvent>> {
    let redacted = redacted_copy(rooms, &viewer.user_id, pdu)?;
    let pdu = redacted.as_ref().unwrap_or(pdu);
    let unsigned = Unsigned::of(rooms, pdu, viewer)?.with_bundle(rooms, pdu, viewer)?;
    show(pdu, Room::Known, unsigned)
}

/// A state event, with its room.
pub fn state(rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Raw<AnyStateEvent>> {
    let redacted = redacted_copy(rooms, &viewer.user_id, pdu)?;
    let pdu = redacted.as_ref().unwrap_or(pdu);
    show(pdu, Room::Named, Unsigned::of(rooms, pdu, viewer)?)
}

/// A state event, where the room is known.
pub fn sync_state(rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Raw<AnySyncStateEvent>> {
    let redacted = redacted_copy(rooms, &viewer.user_id, pdu)?;
    let pdu = redacted.as_ref().unwrap_or(pdu);
    show(pdu, Room::Known, Unsigned::of(rooms, pdu, viewer)?)
}

/// A state event for somebody who is not in the room: for invites, knocks and the like.
/// `content` is the event's own, or what of it is to be told.
pub fn stripped(pdu: &Pdu, content: &RawValue) -> Result<Raw<AnyStrippedStateEvent>> {
    let stripped = Stripped {
        content,
        sender: &pdu.sender,
        state_key: pdu.state_key.as_deref().unwrap_or_default(),
        kind: &pdu.kind,
    };
    Ok(Raw::from_json(to_raw_value(&stripped)?))
}

fn show<T>(pdu: &Pdu, room: Room, unsigned: Unsigned<'_>) -> Result<Raw<T>> {
    let view = View {
        content: content_of(pdu)?,
        event_id: &pdu.event_id,
        origin_server_ts: pdu.origin_server_ts,
        redacts: pdu.redacts.as_deref(),
        room_id: (room == Room::Named).then_some(&*pdu.room_id),
        sender: &pdu.sender,
        state_key: pdu.state_key.as_deref(),
        kind: &pdu.kind,
        unsigned,
    };
    Ok(Raw::from_json(to_raw_value(&view)?))
}

/// The content. A redaction says what it redacts there and beside it, whatever the room version: clients look in either place.
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#mroomredaction>
fn content_of(pdu: &Pdu) -> Result<Cow<'_, RawValue>> {
    let Some(redacts) = &pdu.redacts else {
        return Ok(Cow::Borrowed(&pdu.content));
    };
    let mut content: Map<String, Value> = serde_json::from_str(pdu.content.get())?;
    content.insert("redacts".to_owned(), redacts.as_str().into());
    Ok(Cow::Owned(to_raw_value(&content)?))
}
