//! What happened between two syncs of a user, as far as it says where to look.
//!
//! A small gap is walked change by change, so that a sync costs what happened and not how many rooms there are. A large one is
//! not walked: then every room is looked at, with a seek for each.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, RoomId, UserId, events::TimelineEventType};

use crate::{
    error::Result,
    rooms::record::Membership,
    store::tables,
    stream::{Change, Position},
    sync::SyncContext,
};

/// How many changes are walked.
const CHANGES_MAX: usize = 1_000;

/// Where something happened.
#[derive(Debug, Default)]
pub(super) struct ChangedRooms {
    /// The rooms where something happened; nothing if it could be any.
    rooms: Option<BTreeSet<OwnedRoomId>>,
    /// The rooms where somebody came or went.
    moved: BTreeSet<OwnedRoomId>,
    /// Whether somebody's devices changed.
    devices: bool,
}

impl ChangedRooms {
    /// Walks what happened after `since` and not after `until`. Of events in rooms of others no more than the change is read: somebody
    /// who makes large rooms has all of them among everybody's changes.
    pub(super) fn walk(
        ctx: &SyncContext,
        user: &UserId,
        since: Position,
        until: Position,
    ) -> Result<Self> {
        let (mut changed, mut rooms) = (Self::default(), BTreeSet::new());
        let mut foreign = BTreeSet::new();
        let rows = ctx.store.scan_from::<tables::Changes>((), (since.next(),));
        for (count, row) in rows.enumerate() {
            let ((position,), change) = row?;
            if position > until {
                break;
            }
            if count >= CHANGES_MAX {
                return Ok(Self::default());
            }
            match change {
                Change::Event(room, _) if foreign.contains(&room) => {}
                Change::Event(room, _)
                    if !rooms.contains(&room) && !is_known(ctx, user, &room)? =>
                {
                    foreign.insert(room);
                }
                Change::Event(room, event) => {
                    let pdu = ctx.rooms.event(&event)?;
                    if pdu.is_some_and(|pdu| pdu.kind == TimelineEventType::RoomMember) {
                        changed.moved.insert(room.clone());
                    }
                    rooms.insert(room);
                }
                Change::Receipt(room, _) => {
                    rooms.insert(room);
                }
                Change::DeviceList(_) => changed.devices = true,
                Change::ToDevice(..) | Change::AccountData(_) => {}
            }
        }
        rooms.extend(ctx.rooms.typing.changed_rooms(since, until));
        changed.rooms = Some(rooms);
        Ok(changed)
    }

    /// The user's rooms where something may have happened. `besides` are rooms where something did that the walk does not see.
    pub(super) fn memberships(
        &self,
        ctx: &SyncContext,
        user: &UserId,
        besides: impl Iterator<Item = OwnedRoomId>,
    ) -> Result<Vec<(OwnedRoomId, Membership)>> {
        let Some(known) = &self.rooms else {
            return ctx.rooms.memberships(user);
        };
        let rooms: BTreeSet<OwnedRoomId> = known.iter().cloned().chain(besides).collect();
        let mut memberships = Vec::new();
        for room in rooms {
            let member = ctx.store.get::<tables::Memberships>((user, &*room))?;
            memberships.extend(member.map(|member| (room, member)));
        }
        Ok(memberships)
    }

    /// Whether it may concern whose devices somebody in these rooms has to know.
    pub(super) fn concerns_devices(&self, memberships: &[(OwnedRoomId, Membership)]) -> bool {
        let moved = || {
            let mut rooms = memberships.iter().map(|(room, _)| room);
            rooms.any(|room| self.moved.contains(room))
        };
        self.rooms.is_none() || self.devices || moved()
    }
}

/// Whether the user is, was or may come in: nothing else of a room is in a sync.
fn is_known(ctx: &SyncContext, user: &UserId, room: &RoomId) -> Result<bool> {
    Ok(ctx
        .store
        .get::<tables::Memberships>((user, room))?
        .is_some())
}
