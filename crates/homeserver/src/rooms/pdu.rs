//! An event of a room, parsed: what the authorization rules and the views read.
//!
//! The signed JSON is kept byte for byte beside it. Spec: <https://spec.matrix.org/v1.19/rooms/v11/#event-format>

use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, RoomId, UserId,
    events::{StateEventType, TimelineEventType},
    state_res,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::record::{SendId, StoredEvent};
use crate::{
    error::{Error, Result},
    stream::Position,
};

/// An event of a room.
#[derive(Clone, Debug)]
pub struct Pdu {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// Where it is in the order of everything.
    pub position: Position,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Box<RawValue>,
    /// When it was sent.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The event that it redacts.
    pub redacts: Option<OwnedEventId>,
    /// The events right before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that allow it.
    pub auth_events: Vec<OwnedEventId>,
    /// How long the longest way to it is.
    pub depth: u64,
    /// By which request it was sent.
    pub send_id: Option<SendId>,
    /// The state event that it took the place of.
    pub replaces: Option<OwnedEventId>,
    /// The event that redacted it.
    pub redacted_by: Option<OwnedEventId>,
    /// The signed JSON.
    pub json: Box<RawValue>,
    /// Whether its own JSON names the room: the create event of a version 12 room does not.
    names_room: bool,
}

#[derive(Deserialize)]
struct Parsed {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    redacts: Option<OwnedEventId>,
    #[serde(default)]
    prev_events: Vec<OwnedEventId>,
    #[serde(default)]
    auth_events: Vec<OwnedEventId>,
    #[serde(default)]
    depth: u64,
}

/// What a redaction redacts, where it is part of the content (room version 11 and later).
#[derive(Deserialize)]
struct Redacts {
    redacts: Option<OwnedEventId>,
}

impl Pdu {
    /// Reads a stored event.
    pub fn from_stored(stored: StoredEvent, room_id: &RoomId, position: Position) -> Result<Self> {
        let parsed: Parsed = serde_json::from_str(stored.pdu.get())?;
        let redacts = match parsed.kind {
            TimelineEventType::RoomRedaction => parsed.redacts.or_else(|| {
                serde_json::from_str::<Redacts>(parsed.content.get())
                    .ok()
                    .and_then(|content| content.redacts)
            }),
            _ => None,
        };
        Ok(Self {
            event_id: stored.id,
            room_id: room_id.to_owned(),
            position,
            sender: parsed.sender,
            kind: parsed.kind,
            state_key: parsed.state_key,
            content: parsed.content,
            origin_server_ts: parsed.origin_server_ts,
            redacts,
            prev_events: parsed.prev_events,
            auth_events: parsed.auth_events,
            depth: parsed.depth,
            send_id: stored.send_id,
            replaces: stored.replaces,
            redacted_by: stored.redacted_by,
            names_room: parsed.room_id.is_some(),
            json: stored.pdu,
        })
    }

    /// The event as it is stored.
    pub fn to_stored(&self) -> StoredEvent {
        StoredEvent {
            id: self.event_id.clone(),
            pdu: self.json.clone(),
            send_id: self.send_id.clone(),
            replaces: self.replaces.clone(),
            redacted_by: self.redacted_by.clone(),
        }
    }

    /// The content as a type; nothing if it is not of that shape.
    pub fn content_as<C: DeserializeOwned>(&self) -> Option<C> {
        serde_json::from_str(self.content.get()).ok()
    }

    /// The signed JSON as an object.
    pub fn object(&self) -> Result<CanonicalJsonObject> {
        Ok(serde_json::from_str(self.json.get())?)
    }

    /// Type and state key, if it is state.
    pub fn state(&self) -> Option<(StateEventType, &str)> {
        self.state_key
            .as_deref()
            .map(|state_key| (self.kind.to_string().into(), state_key))
    }

    /// Whether it is the member event of this user.
    pub fn is_member_event_of(&self, user: &UserId) -> bool {
        self.kind == TimelineEventType::RoomMember
            && self.state_key.as_deref() == Some(user.as_str())
    }
}

/// An event that an authorization rule refuses.
pub(super) fn unauthorized(reason: &str) -> Error {
    Error::forbidden(format!("You may not do that in this room: {reason}"))
}

impl state_res::Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.names_room.then_some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        false
    }
}

/// The part of an event id that names a room, where room ids are made of create events (room version 12 and later).
pub(super) fn room_id_of(create: &EventId) -> Result<OwnedRoomId> {
    OwnedRoomId::try_from(create.as_str().replacen('$', "!", 1))
        .map_err(|error| Error::Broken(format!("an event id that is no room id: {error}")))
}
