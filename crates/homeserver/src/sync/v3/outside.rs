//! Rooms that a user sees from outside: invited to, knocked at.
//!
//! Whoever invites chose what is told, and whom it is told to did not ask for it. So what one answer tells of such rooms has a largest
//! size, of which each room has its share: first what a client cannot do without, shortened if it has to be, then what it can.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{AnyStrippedStateEvent, StateEventType, room::member::MembershipState},
    serde::Raw,
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use crate::{
    error::Result,
    limits::{OUTSIDE_EVENT_MAX_BYTES, OUTSIDE_STATE_LEAST_BYTES, OUTSIDE_STATE_MAX_BYTES},
    rooms::{Pdu, Rooms, present, record::Membership},
};

/// What somebody outside learns of a room, besides who invites: what a client needs first stands first.
const TOLD: [StateEventType; 8] = [
    StateEventType::RoomCreate,
    StateEventType::RoomJoinRules,
    StateEventType::RoomName,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomAvatar,
    StateEventType::RoomHistoryVisibility,
    StateEventType::RoomTopic,
];

/// The fields that stay when an event is shortened: those that the specification names for it.
const FIELDS: [&str; 15] = [
    "algorithm",
    "alias",
    "avatar_url",
    "creator",
    "displayname",
    "history_visibility",
    "is_direct",
    "join_rule",
    "m.federate",
    "membership",
    "name",
    "room_version",
    "topic",
    "type",
    "url",
];
/// The longest field that stays, as JSON, in bytes.
const FIELD_BYTES: usize = 1 << 10;

/// What an answer can still tell of rooms that are seen from outside.
#[derive(Debug, Default)]
pub struct StrippedStateBudget {
    rooms: AtomicUsize,
    left: AtomicUsize,
}

impl StrippedStateBudget {
    /// For an answer that tells of at most so many such rooms.
    pub fn for_rooms(rooms: usize) -> Self {
        Self {
            rooms: rooms.into(),
            left: OUTSIDE_STATE_MAX_BYTES.into(),
        }
    }

    /// The share of the next room. What it does not take is for those who come after.
    fn share(&self) -> usize {
        let share = self.left.load(Relaxed) / self.rooms.load(Relaxed).max(1);
        share.max(OUTSIDE_STATE_LEAST_BYTES)
    }

    fn took(&self, bytes: usize) {
        let less = |value: &AtomicUsize, by: usize| {
            value.store(value.load(Relaxed).saturating_sub(by), Relaxed);
        };
        less(&self.rooms, 1);
        less(&self.left, bytes);
    }
}

/// Whether the user sees the room from outside.
pub fn is_invited_or_knocking(member: &Membership) -> bool {
    matches!(
        member.membership,
        MembershipState::Invite | MembershipState::Knock
    )
}

/// The state that an invited or knocking user sees, as it was then: with the member events of both sides.
pub fn stripped_state(
    rooms: &Rooms,
    room: &RoomId,
    (user, member): (&UserId, &Membership),
    budget: &StrippedStateBudget,
) -> Result<Vec<Raw<AnyStrippedStateEvent>>> {
    let state = rooms.state_at(room, member.position);
    let mut told = Told {
        left: budget.share(),
        events: Vec::new(),
    };
    let share = told.left;
    // Without their own membership nobody sees that there is a room.
    if let Some(own) = state.member(user)? {
        told.add_own(&own)?;
    }
    let (first, later) = TOLD.split_at(3);
    for kind in first {
        told.add_all(state.get(kind, "")?)?;
    }
    let sender: &OwnedUserId = &member.sender;
    if sender != user {
        told.add_all(state.member(sender)?)?;
    }
    for kind in later {
        told.add_all(state.get(kind, "")?)?;
    }
    budget.took(share - told.left);
    Ok(told.events)
}

/// What is told of one room, and for how many bytes more there is room.
struct Told {
    left: usize,
    events: Vec<Raw<AnyStrippedStateEvent>>,
}

impl Told {
    fn add_all(&mut self, pdu: Option<Arc<Pdu>>) -> Result<()> {
        if let Some(pdu) = pdu {
            self.add(&pdu)?;
        }
        Ok(())
    }

    /// Adds an event, whole or shortened, if there is room for it.
    fn add(&mut self, pdu: &Pdu) -> Result<bool> {
        let whole = present::stripped(pdu, &pdu.content)?;
        let size = whole.json().get().len();
        if size <= OUTSIDE_EVENT_MAX_BYTES.min(self.left) {
            return Ok(self.push(whole));
        }
        let short = present::stripped(pdu, &shortened(&pdu.content, &FIELDS)?)?;
        if short.json().get().len() <= self.left {
            return Ok(self.push(short));
        }
        Ok(false)
    }

    /// Adds the user's own membership, with its id and time: clients sort invitations by it.
    fn add_own(&mut self, pdu: &Pdu) -> Result<()> {
        let whole = present::stripped(pdu, &pdu.content)?;
        let mut event: Map<String, Value> = serde_json::from_str(whole.json().get())?;
        event.insert("event_id".to_owned(), pdu.event_id.as_str().into());
        let at = u64::from(pdu.origin_server_ts.get());
        event.insert("origin_server_ts".to_owned(), at.into());
        let whole = to_raw_value(&event)?;
        if whole.get().len() <= OUTSIDE_EVENT_MAX_BYTES.min(self.left) {
            self.push(Raw::from_json(whole));
        } else if !self.add(pdu)? {
            let content = shortened(&pdu.content, &["membership"])?;
            self.push(present::stripped(pdu, &content)?);
        }
        Ok(())
    }

    fn push(&mut self, event: Raw<AnyStrippedStateEvent>) -> bool {
        self.left = self.left.saturating_sub(event.json().get().len());
        self.events.push(event);
        true
    }
}

/// Some fields of a content, without those that are long.
fn shortened(content: &RawValue, fields: &[&str]) -> Result<Box<RawValue>> {
    let content: Map<String, Value> = serde_json::from_str(content.get()).unwrap_or_default();
    let stays = |(name, value): &(String, Value)| {
        fields.contains(&name.as_str()) && value.to_string().len() <= FIELD_BYTES
    };
    let short: Map<String, Value> = content.into_iter().filter(stays).collect();
    Ok(to_raw_value(&short)?)
}
