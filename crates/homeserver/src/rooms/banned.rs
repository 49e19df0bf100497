//! Banned rooms: an admin has ended them, and nobody comes in any more.

use ruma::events::{
    TimelineEventType,
    room::member::{MembershipState, RoomMemberEventContent},
};

use super::{Draft, record::RoomRecord};
use crate::error::{Error, Result};

/// Refuses to let anybody into a banned room.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`.
pub(super) fn check_ban(record: &RoomRecord, draft: &Draft) -> Result<()> {
    if !record.banned || draft.kind != TimelineEventType::RoomMember {
        return Ok(());
    }
    let content: Option<RoomMemberEventContent> = serde_json::from_str(draft.content.get()).ok();
    let goes = |content: RoomMemberEventContent| {
        matches!(
            content.membership,
            MembershipState::Leave | MembershipState::Ban
        )
    };
    if content.is_some_and(goes) {
        return Ok(());
    }
    Err(Error::forbidden("This room is banned on this homeserver"))
}
