//! The part of a room's timeline that a client gets: the newest events that its user may see, and whether there are more.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use ruma::{OwnedUserId, RoomId, events::TimelineEventType};

use crate::{
    error::Result,
    rooms::{Pdu, Rooms, visibility::EventVisibility},
    stream::Position,
};

/// How many events are looked at to find enough that the user may see.
const EVENTS_WALKED_MAX: usize = 2_000;

/// Who looks at a room.
#[derive(Debug)]
pub(super) struct EventViewer<'a> {
    /// What the user may see.
    pub(super) event_visibility: EventVisibility,
    /// Whom the user does not want to see.
    pub(super) ignored: &'a BTreeSet<OwnedUserId>,
}

impl EventViewer<'_> {
    /// Whether the event is shown. State is, whoever set it: the room would not be what it is without.
    pub(super) fn can_see(&self, pdu: &Pdu) -> bool {
        self.event_visibility.allows_event(pdu)
            && (pdu.state_key.is_some() || !self.ignored.contains(&pdu.sender))
    }
}

/// Some events of a room.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Oldest first.
    pub(super) events: Vec<Arc<Pdu>>,
    /// Whether there are more before them that were asked for as well.
    pub(super) limited: bool,
    /// Where what comes before them ends: right before the first of them.
    pub(super) before: Position,
}

impl Timeline {
    /// At most `limit` events up to and with `up_to`, if `after` is given only what came after it.
    pub(super) fn read(
        rooms: &Rooms,
        event_viewer: &EventViewer<'_>,
        room: &RoomId,
        (after, up_to): (Option<Position>, Position),
        limit: usize,
    ) -> Result<Self> {
        let mut timeline = Self {
            before: up_to,
            ..Self::default()
        };
        for (walked, pdu) in rooms.events_down(room, up_to).enumerate() {
            let pdu = pdu?;
            if after.is_some_and(|after| pdu.position <= after) {
                break;
            }
            let is_seen = event_viewer.can_see(&pdu);
            if walked >= EVENTS_WALKED_MAX || (is_seen && timeline.events.len() >= limit) {
                timeline.limited = true;
                break;
            }
            timeline.before = pdu.position.before();
            if is_seen {
                timeline.events.push(pdu);
            }
        }
        timeline.events.reverse();
        Ok(timeline)
    }

    /// Whose member events a client needs to show these events.
    pub(super) fn members(&self) -> HashSet<OwnedUserId> {
        let mut members = HashSet::new();
        for pdu in &self.events {
            members.insert(pdu.sender.clone());
            if pdu.kind == TimelineEventType::RoomMember
                && let Some(Ok(user)) = pdu.state_key.as_deref().map(OwnedUserId::try_from)
            {
                members.insert(user);
            }
        }
        members
    }
}
