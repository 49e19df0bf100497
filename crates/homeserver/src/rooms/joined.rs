//! How many rooms one user can be in: what a sync looks through has an end.

use ruma::{
    OwnedUserId, UserId,
    events::{
        TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use super::Draft;
use crate::{
    error::{Error, Result},
    store::{Store, tables},
};

/// How many rooms one user can be in. A bridge that needs more has users of its own for them.
pub(super) const ROOMS_PER_USER: usize = 20_000;

/// Refuses one room more than a user can be in. Whoever is in the room already may say so again.
///
/// # Errors
///
/// 413 `M_TOO_LARGE`.
pub(super) fn check_joined(store: &Store, room: &ruma::RoomId, draft: &Draft) -> Result<()> {
    if draft.kind != TimelineEventType::RoomMember {
        return Ok(());
    }
    let content = serde_json::from_str::<RoomMemberEventContent>(draft.content.get());
    let joins = content.is_ok_and(|content| content.membership == MembershipState::Join);
    let user = draft.state_key.as_deref().map(OwnedUserId::try_from);
    let (true, Some(Ok(user))) = (joins, user) else {
        return Ok(());
    };
    let now = store.get::<tables::Memberships>((&user, room))?;
    if now.is_some_and(|now| now.membership == MembershipState::Join) || has_room(store, &user)? {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "One user can be in {ROOMS_PER_USER} rooms: leave some of them first"
    )))
}

fn has_room(store: &Store, user: &UserId) -> Result<bool> {
    let rooms = store.scan::<tables::Memberships>((user,));
    // Rooms that were left count only where it comes to it: most people have few of both.
    if rooms.keys().take(ROOMS_PER_USER).count() < ROOMS_PER_USER {
        return Ok(true);
    }
    let mut joined = 0;
    for row in store.scan::<tables::Memberships>((user,)) {
        let (_, member) = row?;
        joined += usize::from(member.membership == MembershipState::Join);
    }
    Ok(joined < ROOMS_PER_USER)
}
