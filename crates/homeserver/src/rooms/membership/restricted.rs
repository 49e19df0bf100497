//! Coming in through another room: restricted joins, and what guests may join.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms>

use http::StatusCode;
use ruma::{
    OwnedUserId, RoomId, UserId,
    api::error::ErrorKind,
    events::{
        StateEventType,
        room::{
            guest_access::{GuestAccess, RoomGuestAccessEventContent},
            join_rules::{AllowRule, JoinRule, RoomJoinRulesEventContent},
        },
    },
};

use crate::{
    error::{Error, Result},
    rooms::{RoomWriter, Rooms, record::Membership},
};

/// Whether the user is in one of the rooms whose people may come into this one.
pub fn meets_join_rule(rooms: &Rooms, user: &UserId, rule: &JoinRule) -> Result<bool> {
    let (JoinRule::Restricted(rule) | JoinRule::KnockRestricted(rule)) = rule else {
        return Ok(false);
    };
    for allowed in &rule.allow {
        if let AllowRule::RoomMembership(other) = allowed
            && rooms.is_joined(&other.room_id, user)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who of the room lets the user in; nobody has to if the user is invited or the room is not restricted.
///
/// # Errors
///
/// 403 if the user is in none of the rooms that open this one, 400 if nobody in the room may let people in.
pub(super) fn authorizer(
    writer: &RoomWriter,
    user: &UserId,
    now: Option<&Membership>,
) -> Result<Option<OwnedUserId>> {
    let rooms = writer.rooms();
    let state = rooms.state(writer.room_id());
    let content: Option<RoomJoinRulesEventContent> =
        state.content(&StateEventType::RoomJoinRules, "")?;
    let Some(rule) = content.map(|content| content.join_rule) else {
        return Ok(None);
    };
    let restricted = matches!(rule, JoinRule::Restricted(_) | JoinRule::KnockRestricted(_));
    if !restricted || now.is_some_and(Membership::is_invited) {
        return Ok(None);
    }
    if !meets_join_rule(rooms, user, &rule)? {
        return Err(Error::forbidden(
            "You are in none of the rooms whose people may join this one",
        ));
    }
    let levels = state.power_levels(writer.rules())?;
    let members = rooms.joined_members(writer.room_id())?;
    let authorizer = members
        .into_iter()
        .find(|member| levels.user_can_invite(member));
    match authorizer {
        Some(user) => Ok(Some(user)),
        None => Err(Error::bad_request(
            ErrorKind::UnableToGrantJoin,
            "Nobody is in the room who may let you in",
        )),
    }
}

/// Refuses guests where they may not join.
pub(super) fn check_guest(rooms: &Rooms, writer: &RoomWriter, user: &UserId) -> Result<()> {
    let account = rooms.accounts.get(user)?;
    if !account.is_some_and(|account| account.guest) {
        return Ok(());
    }
    if guests_may_join(writer.rooms(), writer.room_id())? {
        return Ok(());
    }
    Err(Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::GuestAccessForbidden,
        "Guests may not join this room",
    ))
}

/// Whether guests may be in the room.
pub(super) fn guests_may_join(rooms: &Rooms, room: &RoomId) -> Result<bool> {
    let content: Option<RoomGuestAccessEventContent> = rooms
        .state(room)
        .content(&StateEventType::RoomGuestAccess, "")?;
    Ok(content.is_some_and(|content| content.guest_access == GuestAccess::CanJoin))
}
