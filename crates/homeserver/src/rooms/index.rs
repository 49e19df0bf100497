//! What follows from a new event: each index learns of it in the event's own batch.

use ruma::{
    OwnedUserId,
    events::{TimelineEventType, room::member::RoomMemberEventContent},
};

use super::{Pdu, RoomWriter, record::Membership};
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
