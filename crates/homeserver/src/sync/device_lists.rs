//! What a user has to know about the devices of others: whose changed, and whom the user no longer shares a room with.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user>

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{
        TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use crate::{
    error::Result,
    keys::changes_between,
    rooms::{Pdu, Rooms},
    stream::Position,
};

/// What a user has to know about the devices of others after a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceLists {
    /// Whose keys have to be asked for again: they changed, or the user shares a room with them since then.
    pub changed: BTreeSet<OwnedUserId>,
    /// With whom the user shares no room any more.
    pub left: BTreeSet<OwnedUserId>,
}

/// What changed for `user` after `from`, up to and with `to`.
pub fn between(rooms: &Rooms, user: &UserId, from: Position, to: Position) -> Result<DeviceLists> {
    let mut lists = DeviceLists {
        changed: changes_between(&rooms.store, from, to)?,
        left: BTreeSet::new(),
    };
    for (room, member) in rooms.memberships(user)? {
        let before = was_joined(rooms, &room, user, from)?;
        match (before, member.is_joined()) {
            (false, true) => lists.changed.extend(rooms.joined_members(&room)?),
            (true, false) => lists.left.extend(rooms.joined_members(&room)?),
            (true, true) => {}
            (false, false) => continue,
        }
        if before {
            moves(rooms, &room, from, to, &mut lists)?;
        }
    }
    let shares = |other: &OwnedUserId| Ok(other == user || rooms.share_room(user, other)?);
    lists.changed = keep(lists.changed, shares)?;
    lists.left = keep(lists.left, |other| Ok(!shares(other)?))?;
    Ok(lists)
}

fn was_joined(rooms: &Rooms, room: &RoomId, user: &UserId, at: Position) -> Result<bool> {
    let member = rooms.state_at(room, at).member(user)?;
    Ok(member.is_some_and(|pdu| joins(&pdu)))
}

fn joins(pdu: &Pdu) -> bool {
    pdu.content_as::<RoomMemberEventContent>()
        .is_some_and(|content| content.membership == MembershipState::Join)
}

/// Who came into the room and who went out of it.
fn moves(
    rooms: &Rooms,
    room: &RoomId,
    from: Position,
    to: Position,
    lists: &mut DeviceLists,
) -> Result<()> {
    for pdu in rooms.events_up(room, from.next()) {
        let pdu = pdu?;
        if pdu.position > to {
            break;
        }
        if pdu.kind != TimelineEventType::RoomMember {
            continue;
        }
        let Some(member) = pdu
            .state_key
            .as_deref()
            .and_then(|key| UserId::parse(key).ok())
        else {
            continue;
        };
        if joins(&pdu) {
            lists.changed.insert(member);
        } else {
            lists.left.insert(member);
        }
    }
    Ok(())
}

fn keep(
    users: BTreeSet<OwnedUserId>,
    wanted: impl Fn(&OwnedUserId) -> Result<bool>,
) -> Result<BTreeSet<OwnedUserId>> {
    let mut kept = BTreeSet::new();
    for user in users {
        if wanted(&user)? {
            kept.insert(user);
        }
    }
    Ok(kept)
}
