//! What is derived from a new event in the event's own write: the members here, everything else by what is registered ([`Derived`]).

use std::sync::Arc;

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use super::{Pdu, RoomWriter, Rooms, record::Membership};
use crate::{
    error::Result,
    store::tables,
    stream::{Position, Slot, WakeTarget},
};

/// Something that is derived from every event, in the write of the event itself: an index, a count, who is notified.
///
/// The rooms do not know what there is: whoever puts the server together registers it.
pub trait Derived: std::fmt::Debug + Send + Sync {
    /// Begins a write with these events, which the writer has added.
    ///
    /// # Errors
    ///
    /// If the database fails.
    fn begin(&self, writer: &RoomWriter) -> Result<Box<dyn DerivedWrite>>;
}

/// What is derived from the events of one write, one after the other.
pub trait DerivedWrite: Send {
    /// Adds what follows from the next event to the write. Nothing may wait: whoever writes to the room waits for it.
    ///
    /// # Errors
    ///
    /// If the database fails: then nothing of the write happens.
    fn next(&mut self, writer: &mut RoomWriter, pdu: &Arc<Pdu>, slot: Slot) -> Result<()>;

    /// The write is on disk: what is kept in memory follows.
    fn written(self: Box<Self>, _room: &RoomId, _added: &[Arc<Pdu>]) {}
}

/// All derivations of one write.
pub(super) struct Derivations(Vec<Box<dyn DerivedWrite>>);

impl Derivations {
    pub(super) fn begin(writer: &RoomWriter) -> Result<Self> {
        let derived = writer.rooms().derived.iter();
        derived
            .map(|derived| derived.begin(writer))
            .collect::<Result<_>>()
            .map(Self)
    }

    pub(super) fn next(
        &mut self,
        writer: &mut RoomWriter,
        pdu: &Arc<Pdu>,
        slot: Slot,
    ) -> Result<()> {
        if pdu.kind == TimelineEventType::RoomMember {
            member(writer, pdu, slot)?;
        }
        self.0
            .iter_mut()
            .try_for_each(|derivation| derivation.next(writer, pdu, slot))
    }

    pub(super) fn written(self, room: &RoomId, added: &[Arc<Pdu>]) {
        for derivation in self.0 {
            derivation.written(room, added);
        }
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
    writer.wake_after_commit(WakeTarget::User(user.clone()));
    let room = pdu.room_id.clone();
    writer.add_row(move |batch, positions| {
        member.position = positions.of(slot);
        batch.put::<tables::Members>((&room, &user), &member)?;
        batch.delete::<tables::ForgottenRooms>((&user, &room))?;
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
            rooms.typing.remove_user(&pdu.room_id, user);
        }
    }
}
