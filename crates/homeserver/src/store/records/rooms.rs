//! How rooms, events and memberships are stored.

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId,
    RoomVersionId,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use homeserver_model::Position;

use crate::clock;

/// What is known of a room besides its events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomRecord {
    /// The room version, which decides about all rules.
    pub version: RoomVersionId,
    /// Who made it.
    pub creator: OwnedUserId,
    /// Where its first event is.
    pub created: Position,
    /// Whether an admin has banned it, so that nobody can come in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub banned: bool,
}

/// An event as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its id.
    pub id: OwnedEventId,
    /// The signed event, byte for byte; only a redaction changes it.
    pub pdu: Box<RawValue>,
    /// By which request it was sent, to tell the sender's own device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_id: Option<SendId>,
    /// The state event that this one took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<OwnedEventId>,
    /// The event that redacted this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_by: Option<OwnedEventId>,
}

/// The transaction id that a client sent an event with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendId {
    /// The device that sent it, if a device did.
    pub device: Option<OwnedDeviceId>,
    /// The transaction id.
    pub id: String,
}

/// What a request with a transaction id made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendResult {
    /// The id of it, if it has one.
    pub id: Option<String>,
    /// When it was made: the row ends by itself, see `store::expiry`.
    pub time: MilliSecondsSinceUnixEpoch,
}

impl SendResult {
    /// Something made just now.
    pub fn now(id: Option<&str>) -> Self {
        Self {
            id: id.map(str::to_owned),
            time: clock::now(),
        }
    }
}

/// How a user stands to a room, as it is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// Joined, invited, …
    pub membership: MembershipState,
    /// Where the member event is.
    pub position: Position,
    /// The member event.
    pub event_id: OwnedEventId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// The name shown in this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What the user was before this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<MembershipState>,
}

impl Membership {
    /// Whether the user is in the room.
    pub fn is_joined(&self) -> bool {
        self.membership == MembershipState::Join
    }

    /// Whether the user is invited and has not answered.
    pub fn is_invited(&self) -> bool {
        self.membership == MembershipState::Invite
    }
}

/// An event that relates to another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relation {
    /// The event that relates.
    pub event_id: OwnedEventId,
    /// How: `m.thread`, `m.replace`, `m.annotation`, …
    pub rel_type: String,
    /// Its type.
    pub event_type: String,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// The key of an annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What is shown with an event because others relate to it; threads are kept apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Aggregate {
    /// The newest event that edits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<OwnedEventId>,
    /// The events that refer to it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<OwnedEventId>,
}

/// A thread, by its root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thread {
    /// How many events it has, without its root.
    pub count: u64,
    /// Where its last event is.
    pub last: Position,
    /// Its last event.
    pub last_event: OwnedEventId,
    /// Who took part.
    pub participants: Vec<OwnedUserId>,
}

/// A room alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The room that it names.
    pub room_id: OwnedRoomId,
    /// Who made it.
    pub creator: OwnedUserId,
    /// When.
    pub created: MilliSecondsSinceUnixEpoch,
}

/// An event that waits to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DelayedEvent {
    /// Who sends it.
    pub user: OwnedUserId,
    /// Where.
    pub room: OwnedRoomId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key, if it is state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// Its content.
    pub content: Box<RawValue>,
    /// How long it waits, in milliseconds.
    pub delay_ms: u64,
    /// Since when.
    pub running_since: MilliSecondsSinceUnixEpoch,
}
