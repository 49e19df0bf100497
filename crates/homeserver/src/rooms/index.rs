//! What follows from a new event: each index learns of it in the event's own write.

use std::sync::Arc;

use ruma::{
    OwnedUserId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use super::{Pdu, RoomWriter, Rooms, record::Membership, relations, search, threads};
use crate::{
    error::Result,
    push::Evaluation,
    store::tables,
    stream::{Position, Slot, Touch},
};

/// What follows from the events of one write, one after the other.
#[derive(Debug, Default)]
pub(super) struct Index {
    relations: relations::Notes,
    threads: threads::Notes,
}

impl Index {
    /// Works out everything that follows from the next event.
    pub(super) fn follow(
        &mut self,
        writer: &mut RoomWriter,
        evaluation: &mut Evaluation,
        pdu: &Arc<Pdu>,
        slot: Slot,
    ) -> Result<()> {
        if pdu.kind == TimelineEventType::RoomMember {
            member(writer, pdu, slot)?;
        }
        evaluation.next(writer, pdu, slot)?;
        self.relations.note(writer, pdu, slot)?;
        self.threads.note(writer, pdu, slot)?;
        search::note(writer, pdu, slot);
        Ok(())
    }
}

/// Who is in the room, and in which rooms the user is.
fn member(writer: &mut RoomWriter, pdu: &Pdu, slot: Slot) -> Result<()> {
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
    let mut member = Membership {
        membership: content.membership,
        position: Position::default(),
        event_id: pdu.event_id.clone(),
        sender: pdu.sender.clone(),
        display_name: content.displayname,
        before: before.map(|content| content.membership),
    };
    writer.touch(Touch::User(user.clone()));
    let room = pdu.room_id.clone();
    writer.row(move |batch, positions| {
        member.position = positions.of(slot);
        batch.put::<tables::Members>((&room, &user), &member)?;
        batch.put::<tables::Memberships>((&user, &room), &member)
    });
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
