//! What a client gets of one room: everything the first time, afterwards what changed since it was last told.

use std::{collections::HashSet, sync::Arc};

use ruma::{
    OwnedRoomId, UInt,
    api::client::sync::sync_events::{UnreadNotificationsCount, v5::response},
};

mod metadata;
mod state;

use super::{
    connection::{RoomMembership, SentRoom, Snapshot},
    list::RoomRequest,
    room_info::RoomInfo,
    sync_request::SyncRequest,
    timeline::{EventViewer, Timeline},
    user_rooms::{UserLists, UserMembership, bump_position},
};
use crate::{
    error::Result,
    rooms::{Pdu, Rooms, present, unread, visibility::EventVisibility},
    stream::Position,
    sync::{SyncContext, v3::outside::StrippedStateBudget},
};
use state::{StateChanges, StateSent};

/// What there is to say of a room, and what the client knows once it is said.
#[derive(Debug, Default)]
pub(super) struct RoomUpdate {
    /// Nothing: the room is not sent.
    pub(super) room: Option<response::Room>,
    /// Nothing: what was told stays as it was.
    pub(super) sent_room: Option<SentRoom>,
}

/// One look at one room for one answer.
#[derive(Debug)]
pub(super) struct RoomResponseBuilder<'a> {
    pub(super) ctx: &'a SyncContext,
    pub(super) sync_request: &'a SyncRequest,
    pub(super) user_lists: &'a UserLists,
    pub(super) base: &'a Snapshot,
    /// Up to where this answer tells.
    pub(super) now: Position,
    pub(super) room_id: &'a OwnedRoomId,
    pub(super) user_room: &'a UserMembership,
    pub(super) wanted: &'a RoomRequest,
    pub(super) facts: &'a RoomInfo,
    /// What this answer can still tell of rooms that are seen from outside.
    pub(super) outside: &'a StrippedStateBudget,
}

impl RoomResponseBuilder<'_> {
    /// What there is to say.
    pub(super) fn update(&self) -> Result<RoomUpdate> {
        let sent_room = self.base.rooms.get(self.room_id).map(AsRef::as_ref);
        match self.user_room.room_membership {
            RoomMembership::InvitedOrKnocking => self.invited_or_knocking(sent_room),
            RoomMembership::Gone => self.gone(sent_room),
            RoomMembership::Joined => match sent_room
                .filter(|sent_room| sent_room.room_membership == RoomMembership::Joined)
            {
                None => self.first(),
                Some(sent_room) => self.changes(sent_room),
            },
        }
    }

    fn rooms(&self) -> &Rooms {
        &self.ctx.rooms
    }

    fn event_viewer(&self) -> Result<EventViewer<'_>> {
        Ok(EventViewer {
            event_visibility: EventVisibility::new(
                self.rooms(),
                self.sync_request.user(),
                self.room_id,
            )?,
            ignored: &self.user_lists.ignored,
        })
    }

    fn unread(&self) -> Result<(u64, u64)> {
        let (rooms, user) = (&self.ctx.rooms, self.sync_request.user());
        let unread = unread(rooms, user, self.room_id, self.now)?;
        Ok(unread.total())
    }

    /// An invite or a knock, told once.
    fn invited_or_knocking(&self, sent_room: Option<&SentRoom>) -> Result<RoomUpdate> {
        let known = |sent_room: &SentRoom| {
            sent_room.room_membership == RoomMembership::InvitedOrKnocking
                && sent_room.up_to >= self.user_room.since
        };
        if sent_room.is_some_and(known) {
            return Ok(RoomUpdate::default());
        }
        let mut room = self.empty_room();
        room.initial = Some(true);
        metadata::invited_or_knocking(self, &mut room)?;
        Ok(RoomUpdate {
            room: Some(room),
            sent_room: Some(
                self.sent_room(self.user_room.since, RoomMembership::InvitedOrKnocking),
            ),
        })
    }

    /// The last that the user hears of a room.
    fn gone(&self, sent_room: Option<&SentRoom>) -> Result<RoomUpdate> {
        let after = sent_room
            .map(|sent_room| sent_room.up_to)
            .unwrap_or_default();
        let span = (Some(after), self.user_room.since);
        let event_viewer = self.event_viewer()?;
        let limit = self.wanted.timeline_limit;
        let timeline = Timeline::read(self.rooms(), &event_viewer, self.room_id, span, limit)?;
        let own = self.rooms().event_at(self.room_id, self.user_room.since)?;
        let mut room = self.empty_room();
        self.show_timeline(&mut room, &timeline)?;
        room.required_state = self.show_state(own.as_slice())?;
        Ok(RoomUpdate {
            room: Some(room),
            sent_room: Some(self.sent_room(self.user_room.since, RoomMembership::Gone)),
        })
    }

    /// All of a room that the client does not know.
    fn first(&self) -> Result<RoomUpdate> {
        let event_viewer = self.event_viewer()?;
        let limit = self.wanted.timeline_limit;
        let span = (None, self.now);
        let timeline = Timeline::read(self.rooms(), &event_viewer, self.room_id, span, limit)?;
        let sent = StateSent::requested(self.rooms(), self.room_id, self.wanted, &timeline)?;
        let mut sent_room = self.sent_room(self.now, RoomMembership::Joined);
        sent_room.unread = self.unread()?;
        sent_room.members = sent.members;
        let mut room = self.empty_room();
        room.initial = Some(true);
        self.show_timeline(&mut room, &timeline)?;
        room.required_state = self.show_state(&sent.events)?;
        metadata::all(self, &mut room)?;
        show_unread(&mut room, sent_room.unread);
        Ok(RoomUpdate {
            room: Some(room),
            sent_room: Some(sent_room),
        })
    }

    /// What changed in a room that the client knows.
    fn changes(&self, old: &SentRoom) -> Result<RoomUpdate> {
        let unread = self.unread()?;
        let grown = self.wanted.timeline_limit > old.timeline_limit;
        let more_state = self.wanted.required.difference(&old.required);
        let happened = self.facts.latest > old.up_to;
        if !happened && !grown && more_state.is_empty() && unread == old.unread {
            return Ok(RoomUpdate::default());
        }
        let event_viewer = self.event_viewer()?;
        let after = (!grown).then_some(old.up_to);
        let limit = self.wanted.timeline_limit;
        let span = (after, self.now);
        let timeline = Timeline::read(self.rooms(), &event_viewer, self.room_id, span, limit)?;
        let since = StateChanges::read(self.rooms(), self.room_id, old.up_to, self.now)?;
        let sent = StateSent::changes(self, old, &more_state, &since, &timeline)?;

        let mut sent_room = self.sent_room(self.now, RoomMembership::Joined);
        sent_room.unread = unread;
        sent_room.members = sent.members;
        if !timeline.limited {
            // The client has all there is between: when it asks for more again, it has it.
            sent_room.timeline_limit = sent_room.timeline_limit.max(old.timeline_limit);
        }
        let is_news = timeline.limited
            || !timeline.events.is_empty()
            || !sent.events.is_empty()
            || unread != old.unread;
        let room = if is_news {
            Some(self.show_changes(&timeline, &since, &sent.events, unread)?)
        } else {
            None
        };
        Ok(RoomUpdate {
            room,
            sent_room: Some(sent_room),
        })
    }

    fn show_changes(
        &self,
        timeline: &Timeline,
        since: &StateChanges,
        state: &[Arc<Pdu>],
        unread: (u64, u64),
    ) -> Result<response::Room> {
        let mut room = self.empty_room();
        self.show_timeline(&mut room, timeline)?;
        room.required_state = self.show_state(state)?;
        metadata::changes(self, since, &mut room)?;
        show_unread(&mut room, unread);
        Ok(room)
    }

    fn sent_room(&self, up_to: Position, room_membership: RoomMembership) -> SentRoom {
        SentRoom {
            room_membership,
            up_to,
            timeline_limit: self.wanted.timeline_limit,
            required: self.wanted.required.clone(),
            members: HashSet::new(),
            unread: (0, 0),
        }
    }

    fn empty_room(&self) -> response::Room {
        let mut room = response::Room::new();
        room.bump_stamp = UInt::try_from(bump_position(self.user_room, self.facts).0).ok();
        room.is_dm = Some(self.user_lists.direct.contains(self.room_id));
        room
    }

    fn show_timeline(&self, room: &mut response::Room, timeline: &Timeline) -> Result<()> {
        let live = timeline
            .events
            .iter()
            .filter(|pdu| !self.base.is_first() && pdu.position > self.base.position);
        room.num_live = UInt::try_from(live.count()).ok();
        room.limited = timeline.limited;
        let is_start = room.initial == Some(true) && !timeline.limited;
        room.prev_batch = (!is_start).then(|| timeline.before.to_string());
        for pdu in &timeline.events {
            let event = present::sync_timeline(self.rooms(), pdu, &self.sync_request.viewer)?;
            room.timeline.push(event);
        }
        Ok(())
    }

    fn show_state(
        &self,
        events: &[Arc<Pdu>],
    ) -> Result<Vec<ruma::serde::Raw<ruma::events::AnySyncStateEvent>>> {
        let shown = events
            .iter()
            .map(|pdu| present::sync_state(self.rooms(), pdu, &self.sync_request.viewer));
        shown.collect()
    }
}

fn show_unread(room: &mut response::Room, (notifications, highlights): (u64, u64)) {
    let mut counts = UnreadNotificationsCount::new();
    counts.notification_count = UInt::try_from(notifications).ok();
    counts.highlight_count = UInt::try_from(highlights).ok();
    room.unread_notifications = counts;
}
