//! How many rooms one user can be in: what a sync looks through has an end.
//!
//! A user's rooms are counted when they first join one, and then again only when as many more were joined as there was room
//! for: a bridge's bot would count thousands of rooms at each new one.

use quick_cache::sync::Cache;
use ruma::{
    OwnedUserId, UserId,
    events::{
        TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use super::{Draft, Rooms};
use crate::{
    error::{Error, Result},
    limits::ROOMS_PER_USER,
    store::{Store, tables},
};

/// For how many users it is remembered how many rooms they can still join.
const ALLOWANCES_REMEMBERED: usize = 10_000;

/// How many rooms each user can join before their rooms have to be counted again.
#[derive(Debug)]
pub(super) struct JoinAllowances {
    left: Cache<OwnedUserId, usize>,
}

impl Default for JoinAllowances {
    fn default() -> Self {
        Self {
            left: Cache::new(ALLOWANCES_REMEMBERED),
        }
    }
}

impl JoinAllowances {
    /// Whether the user can join one room more, which counts as joined.
    fn take(&self, store: &Store, user: &UserId) -> Result<bool> {
        let left = match self.left.get(user) {
            None | Some(0) => ROOMS_PER_USER.saturating_sub(joined(store, user)?),
            Some(left) => left,
        };
        self.left.insert(user.to_owned(), left.saturating_sub(1));
        Ok(left > 0)
    }
}

/// Refuses one room more than a user can be in. Whoever is in the room already may say so again.
///
/// # Errors
///
/// 413 `M_TOO_LARGE`.
pub(super) fn check_joined(rooms: &Rooms, room: &ruma::RoomId, draft: &Draft) -> Result<()> {
    if draft.kind != TimelineEventType::RoomMember {
        return Ok(());
    }
    let content = serde_json::from_str::<RoomMemberEventContent>(draft.content.get());
    let joins = content.is_ok_and(|content| content.membership == MembershipState::Join);
    let user = draft.state_key.as_deref().map(OwnedUserId::try_from);
    let (true, Some(Ok(user))) = (joins, user) else {
        return Ok(());
    };
    let now = rooms.store.get::<tables::Memberships>((&user, room))?;
    let is_there = now.is_some_and(|now| now.membership == MembershipState::Join);
    if is_there || rooms.allowances.take(&rooms.store, &user)? {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "Joined too many rooms (max {ROOMS_PER_USER} per user): leave some first"
    )))
}

/// In how many rooms the user is.
fn joined(store: &Store, user: &UserId) -> Result<usize> {
    let rooms = store.scan::<tables::Memberships>((user,));
    // Rooms that were left count only where it comes to it: most people have few of both.
    let rows = rooms.keys().take(ROOMS_PER_USER).count();
    if rows < ROOMS_PER_USER {
        return Ok(rows);
    }
    let mut joined = 0;
    for row in store.scan::<tables::Memberships>((user,)) {
        let (_, member) = row?;
        joined += usize::from(member.membership == MembershipState::Join);
    }
    Ok(joined)
}
