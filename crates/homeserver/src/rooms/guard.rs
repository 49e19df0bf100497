//! Who may do or read anything at all, before the rules of a room are asked.

use ruma::{
    EventId, RoomId, UserId,
    events::{
        StateEventType,
        room::{
            history_visibility::{HistoryVisibility, RoomHistoryVisibilityEventContent},
            member::{MembershipState, RoomMemberEventContent},
        },
    },
};

use super::{RoomState, Rooms};
use crate::{
    accounts::moderation::user_suspended_error,
    caller::Caller,
    error::{Error, Result},
    store::tables,
    stream::Position,
};

/// Refuses people who may only read for now.
///
/// # Errors
///
/// 403 `M_USER_SUSPENDED`.
pub fn check_not_suspended(rooms: &Rooms, caller: &Caller) -> Result<()> {
    if rooms.accounts.is_suspended(&caller.user_id)? {
        return Err(user_suspended_error());
    }
    Ok(())
}

/// Refuses people who may only read for now, unless they take back what they said themselves.
///
/// # Errors
///
/// 403 `M_USER_SUSPENDED`.
pub fn may_redact(rooms: &Rooms, caller: &Caller, event: Option<&EventId>) -> Result<()> {
    let redacted = event.map(|event| rooms.event(event)).transpose()?;
    match redacted.flatten() {
        Some(event) if event.sender == caller.user_id => Ok(()),
        _ => check_not_suspended(rooms, caller),
    }
}

/// The state of the room that the user may read: as it is now, or as it was when the user left.
///
/// # Errors
///
/// 403 `M_FORBIDDEN` if the user never was in the room and not everybody may read it.
pub fn readable_state(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<RoomState> {
    let now = rooms.state(room);
    if rooms.is_joined(room, user)? {
        return Ok(now);
    }
    let visibility = now
        .content::<RoomHistoryVisibilityEventContent>(&StateEventType::RoomHistoryVisibility, "")?;
    if visibility
        .is_some_and(|content| content.history_visibility == HistoryVisibility::WorldReadable)
    {
        return Ok(now);
    }
    let kind = StateEventType::RoomMember;
    let mut left = None;
    for row in rooms
        .store
        .scan_back::<tables::State>((room, &kind, user.as_str()))
    {
        let ((.., position), _) = row?;
        let content = rooms
            .event_at(room, position)?
            .and_then(|pdu| pdu.content_as::<RoomMemberEventContent>());
        if content.is_some_and(|content| content.membership == MembershipState::Join) {
            return Ok(left.map_or(now, |left| rooms.state_at(room, left)));
        }
        left = Some(position);
    }
    Err(Error::forbidden("You are not in this room"))
}

impl RoomState {
    /// Whether it is the state as it is now.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.at.is_none()
    }

    /// The state as it was at this position, if that is earlier.
    #[must_use]
    pub fn not_after(mut self, position: Position) -> Self {
        self.at = Some(self.at.map_or(position, |at| at.min(position)));
        self
    }
}
