//! What follows from a new event: each index learns of it in the event's own batch.

use std::sync::Arc;

use ruma::{
    OwnedUserId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use super::{Pdu, RoomWriter, Rooms, record::Membership};
use crate::{error::Result, store::tables, stream::Touch};

/// Writes everything that follows from the event.
pub(super) fn follow(writer: &mut RoomWriter, pdu: &Pdu) -> Result<()> {
    if pdu.kind == TimelineEventType::RoomMember {
        member(writer, pdu)?;
    }
    crate::push::evaluate(writer, pdu)?;
    if pdu.kind == TimelineEventType::RoomRedaction {
        super::redact::apply(writer, pdu)?;
    }
    super::relations::note(writer, pdu)?;
    super::threads::note(writer, pdu)?;
    super::search::note(writer, pdu)
}

/// Who is in the room, and in which rooms the user is.
fn member(writer: &mut RoomWriter, pdu: &Pdu) -> Result<()> {
    let Some(user) = pdu
        .state_key
        .as_deref()
        .and_then(|key| OwnedUserId::try_from(key).ok())
    else {
        return Ok(());
    };
    let Some(content) = pdu.content_as::<RoomMemberEventContent>() else {
        return Ok(());
    };
    let before = match &pdu.replaces {
        Some(replaced) => writer
            .event(replaced)?
            .and_then(|pdu| pdu.content_as::<RoomMemberEventContent>()),
        None => None,
    };
    let member = Membership {
        membership: content.membership,
        position: pdu.position,
        event_id: pdu.event_id.clone(),
        sender: pdu.sender.clone(),
        display_name: content.displayname,
        before: before.map(|content| content.membership),
    };
    let room = pdu.room_id.clone();
    writer
        .batch()
        .put::<tables::Members>((&room, &user), &member)?;
    writer
        .batch()
        .put::<tables::Memberships>((&user, &room), &member)?;
    writer.touch(Touch::User(user));
    Ok(())
}

/// What lives in memory learns of the events once they are on disk: whoever left a room does not type in it.
pub(super) fn written(rooms: &Rooms, added: &[Arc<Pdu>]) {
    for pdu in added {
        let Some((StateEventType::RoomMember, key)) = pdu.state() else {
            continue;
        };
        let stays = pdu
            .content_as::<RoomMemberEventContent>()
            .is_some_and(|content| content.membership == MembershipState::Join);
        if !stays && let Ok(user) = <&UserId>::try_from(key) {
            rooms.typing.left(&pdu.room_id, user);
        }
    }
}
