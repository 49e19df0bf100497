//! Which events of a room a user may read: the room's history visibility at the event, and what the user was then and became
//! later.
//!
//! Both are short lists of changes, so they are read once ([`EventVisibility`]) and any number of events is judged by them without another
//! look at the database. Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-6>

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::{
            history_visibility::{HistoryVisibility, RoomHistoryVisibilityEventContent},
            member::MembershipState,
        },
    },
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Pdu, Rooms, readable_state};
use crate::{
    error::{Error, Result},
    store::tables,
    stream::Position,
};

/// Behind which position a room holds nothing for a user: the end of everything, or where the user left. [`EventVisibility`] says what
/// of the rest there is to read.
///
/// # Errors
///
/// 403 `M_FORBIDDEN` if the user never was in the room or forgot it, and if not everybody may read it.
pub fn visible_until(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<Position> {
    let Some(left) = readable_state(rooms, user, room)?.at else {
        return Ok(Position::MAX);
    };
    if rooms.store.contains::<tables::Memberships>((user, room))? {
        Ok(left)
    } else {
        Err(Error::forbidden("You forgot this room"))
    }
}

/// What one user may read of one room.
#[derive(Clone, Debug)]
pub struct EventVisibility {
    user: OwnedUserId,
    visibility: Vec<(Position, HistoryVisibility)>,
    membership: Vec<(Position, MembershipState)>,
}

/// The part of a member event that counts here: one with a broken name is a member event all the same.
#[derive(Deserialize)]
struct Member {
    membership: MembershipState,
}

impl EventVisibility {
    /// What this user may read of this room.
    pub fn new(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<Self> {
        let visibility = changes::<RoomHistoryVisibilityEventContent>(
            rooms,
            room,
            &StateEventType::RoomHistoryVisibility,
            "",
        )?;
        let membership =
            changes::<Member>(rooms, room, &StateEventType::RoomMember, user.as_str())?;
        Ok(Self {
            user: user.to_owned(),
            visibility: visibility
                .into_iter()
                .map(|(at, content)| (at, content.history_visibility))
                .collect(),
            membership: membership
                .into_iter()
                .map(|(at, content)| (at, content.membership))
                .collect(),
        })
    }

    /// Whether this event is among what the user may read.
    pub fn allows_event(&self, pdu: &Pdu) -> bool {
        let (at, before) = (pdu.position, pdu.position.before());
        // Who changes the visibility or is changed by a member event sees the change if either side of it allows that.
        let is_visibility = pdu.kind == TimelineEventType::RoomHistoryVisibility;
        self.allows(at, at, at)
            || (is_visibility && self.allows(before, at, at))
            || (pdu.is_member_event_of(&self.user) && self.allows(at, before, at))
    }

    /// Whether the user could read the event before `until`: was in the room at the event, came in later, or was invited where
    /// that is enough. Who only could have looked in from outside did not.
    pub(super) fn reached_before(&self, pdu: &Pdu, until: Position) -> bool {
        let at = pdu.position;
        let visibility = value_at(&self.visibility, at).unwrap_or(HistoryVisibility::Shared);
        match (&visibility, self.membership_at(at)) {
            (_, MembershipState::Join) | (HistoryVisibility::Invited, MembershipState::Invite) => {
                return true;
            }
            (HistoryVisibility::Invited | HistoryVisibility::Joined, _) => return false,
            _ => {}
        }
        let later = self.membership.iter().rev();
        later
            .skip_while(|(changed, _)| *changed > until)
            .take_while(|(changed, _)| *changed >= at)
            .any(|(_, membership)| *membership == MembershipState::Join)
    }

    /// What the user was right after the event at this position.
    fn membership_at(&self, position: Position) -> MembershipState {
        value_at(&self.membership, position).unwrap_or(MembershipState::Leave)
    }

    fn allows(&self, visibility_at: Position, membership_at: Position, event: Position) -> bool {
        let visibility =
            value_at(&self.visibility, visibility_at).unwrap_or(HistoryVisibility::Shared);
        let membership = self.membership_at(membership_at);
        if visibility == HistoryVisibility::WorldReadable || membership == MembershipState::Join {
            return true;
        }
        match visibility {
            HistoryVisibility::Joined => false,
            HistoryVisibility::Invited => membership == MembershipState::Invite,
            // A visibility that nobody knows counts as shared.
            _ => self.joined_after(event),
        }
    }

    fn joined_after(&self, position: Position) -> bool {
        let later = self.membership.iter().rev();
        later
            .take_while(|(at, _)| *at >= position)
            .any(|(_, membership)| *membership == MembershipState::Join)
    }
}

/// Everything that this state ever was, oldest first. What cannot be read changed nothing.
fn changes<C: DeserializeOwned>(
    rooms: &Rooms,
    room: &RoomId,
    kind: &StateEventType,
    key: &str,
) -> Result<Vec<(Position, C)>> {
    let mut changes = Vec::new();
    for row in rooms.store.scan::<tables::State>((room, kind, key)) {
        let ((_, _, _, position), event) = row?;
        let pdu = rooms.event_at_position(room, position, &event)?;
        changes.extend(pdu.and_then(|pdu| Some((position, pdu.content_as::<C>()?))));
    }
    Ok(changes)
}

fn value_at<T: Clone>(changes: &[(Position, T)], position: Position) -> Option<T> {
    let behind = changes.partition_point(|(at, _)| *at <= position);
    Some(changes[behind.checked_sub(1)?].1.clone())
}
