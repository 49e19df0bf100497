//! What happened between two syncs of a user, as far as it says where to look.
//!
//! A small gap is walked change by change, so that a sync costs what happened and not how many rooms there are. A large one is
//! not walked: then every room is looked at, with a seek for each.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, UserId, events::TimelineEventType};

use crate::{
    error::Result,
    rooms::record::Membership,
    server::Server,
    store::tables,
    stream::{Change, Position},
};

/// How many changes are walked.
const CHANGES_MAX: usize = 1_000;

/// Where something happened.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// The rooms where something happened; nothing if it could be any.
    pub(super) rooms: Option<BTreeSet<OwnedRoomId>>,
    /// Whether it may concern whose devices the user has to know.
    pub(super) devices: bool,
}

impl Gap {
    /// Walks what happened after `since` and not after `until`.
    pub(super) fn walk(server: &Server, since: Position, until: Position) -> Result<Self> {
        let mut gap = Self {
            rooms: None,
            devices: true,
        };
        let (mut rooms, mut devices) = (BTreeSet::new(), false);
        let rows = server
            .store
            .scan_from::<tables::Changes>((), (since.next(),));
        for (count, row) in rows.enumerate() {
            let ((position,), change) = row?;
            if position > until {
                break;
            }
            if count >= CHANGES_MAX {
                return Ok(gap);
            }
            match change {
                Change::Event(room, event) => {
                    let pdu = server.rooms.event(&event)?;
                    devices |= pdu.is_some_and(|pdu| pdu.kind == TimelineEventType::RoomMember);
                    rooms.insert(room);
                }
                Change::Receipt(room, _) => {
                    rooms.insert(room);
                }
                Change::DeviceList(_) => devices = true,
                Change::ToDevice(..) | Change::AccountData(_) => {}
            }
        }
        rooms.extend(server.typing.changed_rooms(since, until));
        gap.rooms = Some(rooms);
        gap.devices = devices;
        Ok(gap)
    }

    /// The user's rooms where something may have happened. `besides` are rooms where something did that the walk does not see.
    pub(super) fn memberships(
        self,
        server: &Server,
        user: &UserId,
        besides: impl Iterator<Item = OwnedRoomId>,
    ) -> Result<Vec<(OwnedRoomId, Membership)>> {
        let Some(mut rooms) = self.rooms else {
            return server.rooms.memberships(user);
        };
        rooms.extend(besides);
        let mut memberships = Vec::new();
        for room in rooms {
            let member = server.store.get::<tables::Memberships>((user, &*room))?;
            memberships.extend(member.map(|member| (room, member)));
        }
        Ok(memberships)
    }
}
