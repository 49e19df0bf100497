//! What a client gets of one room: everything the first time, afterwards what changed since it was last told.

use std::{collections::HashSet, sync::Arc};

use ruma::{
    OwnedRoomId, UInt,
    api::client::sync::sync_events::{UnreadNotificationsCount, v5::response},
};

mod about;
mod state;

use super::{
    ask::Ask,
    connection::{Snapshot, Standing, Told},
    facts::Facts,
    list::Wanted,
    person::{Person, Stay, bump},
    timeline::{Eyes, Timeline},
};
use crate::{
    error::Result,
    rooms::{Pdu, Rooms, present, unread, visibility::Sight},
    stream::Position,
    sync::{SyncContext, v3::outside::Budget},
};
use state::{Since, StateSent};

/// What there is to say of a room, and what the client knows once it is said.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Nothing: the room is not sent.
    pub(super) room: Option<response::Room>,
    /// Nothing: what was told stays as it was.
    pub(super) told: Option<Told>,
}

/// One look at one room for one answer.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) ctx: &'a SyncContext,
    pub(super) ask: &'a Ask,
    pub(super) person: &'a Person,
    pub(super) base: &'a Snapshot,
    /// Up to where this answer tells.
    pub(super) now: Position,
    pub(super) room_id: &'a OwnedRoomId,
    pub(super) stay: &'a Stay,
    pub(super) wanted: &'a Wanted,
    pub(super) facts: &'a Facts,
    /// What this answer can still tell of rooms that are seen from outside.
    pub(super) outside: &'a Budget,
}

impl Look<'_> {
    /// What there is to say.
    pub(super) fn news(&self) -> Result<News> {
        let told = self.base.rooms.get(self.room_id).map(AsRef::as_ref);
        match self.stay.standing {
            Standing::AtTheDoor => self.at_the_door(told),
            Standing::Gone => self.gone(told),
            Standing::Joined => match told.filter(|told| told.standing == Standing::Joined) {
                None => self.first(),
                Some(told) => self.changes(told),
            },
        }
    }

    fn rooms(&self) -> &Rooms {
        &self.ctx.rooms
    }

    fn eyes(&self) -> Result<Eyes<'_>> {
        Ok(Eyes {
            sight: Sight::new(self.rooms(), self.ask.user(), self.room_id)?,
            ignored: &self.person.ignored,
        })
    }

    fn unread(&self) -> Result<(u64, u64)> {
        let (rooms, user) = (&self.ctx.rooms, self.ask.user());
        let unread = unread(rooms, user, self.room_id, self.now)?;
        Ok(unread.total())
    }

    /// An invite or a knock, told once.
    fn at_the_door(&self, told: Option<&Told>) -> Result<News> {
        let known =
            |told: &Told| told.standing == Standing::AtTheDoor && told.up_to >= self.stay.since;
        if told.is_some_and(known) {
            return Ok(News::default());
        }
        let mut room = self.empty_room();
        room.initial = Some(true);
        about::at_the_door(self, &mut room)?;
        Ok(News {
            room: Some(room),
            told: Some(self.told(self.stay.since, Standing::AtTheDoor)),
        })
    }

    /// The last that the user hears of a room.
    fn gone(&self, told: Option<&Told>) -> Result<News> {
        let after = told.map(|told| told.up_to).unwrap_or_default();
        let span = (Some(after), self.stay.since);
        let eyes = self.eyes()?;
        let limit = self.wanted.timeline_limit;
        let timeline = Timeline::read(self.rooms(), &eyes, self.room_id, span, limit)?;
        let own = self.rooms().event_at(self.room_id, self.stay.since)?;
        let mut room = self.empty_room();
        self.show_timeline(&mut room, &timeline)?;
        room.required_state = self.show_state(own.as_slice())?;
        Ok(News {
            room: Some(room),
            told: Some(self.told(self.stay.since, Standing::Gone)),
        })
    }

    /// All of a room that the client does not know.
    fn first(&self) -> Result<News> {
        let eyes = self.eyes()?;
        let limit = self.wanted.timeline_limit;
        let span = (None, self.now);
        let timeline = Timeline::read(self.rooms(), &eyes, self.room_id, span, limit)?;
        let sent = StateSent::all(self.rooms(), self.room_id, self.wanted, &timeline)?;
        let mut told = self.told(self.now, Standing::Joined);
        told.unread = self.unread()?;
        told.members = sent.members;
        let mut room = self.empty_room();
        room.initial = Some(true);
        self.show_timeline(&mut room, &timeline)?;
        room.required_state = self.show_state(&sent.events)?;
        about::all(self, &mut room)?;
        show_unread(&mut room, told.unread);
        Ok(News {
            room: Some(room),
            told: Some(told),
        })
    }

    /// What changed in a room that the client knows.
    fn changes(&self, old: &Told) -> Result<News> {
        let unread = self.unread()?;
        let grown = self.wanted.timeline_limit > old.timeline_limit;
        let more_state = self.wanted.required.beyond(&old.required);
        let happened = self.facts.latest > old.up_to;
        if !happened && !grown && more_state.is_empty() && unread == old.unread {
            return Ok(News::default());
        }
        let eyes = self.eyes()?;
        let after = (!grown).then_some(old.up_to);
        let limit = self.wanted.timeline_limit;
        let span = (after, self.now);
        let timeline = Timeline::read(self.rooms(), &eyes, self.room_id, span, limit)?;
        let since = Since::read(self.rooms(), self.room_id, old.up_to, self.now)?;
        let sent = StateSent::changes(self, old, &more_state, &since, &timeline)?;

        let mut told = self.told(self.now, Standing::Joined);
        told.unread = unread;
        told.members = sent.members;
        if !timeline.limited {
            // The client has all there is between: when it asks for more again, it has it.
            told.timeline_limit = told.timeline_limit.max(old.timeline_limit);
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
        Ok(News {
            room,
            told: Some(told),
        })
    }

    fn show_changes(
        &self,
        timeline: &Timeline,
        since: &Since,
        state: &[Arc<Pdu>],
        unread: (u64, u64),
    ) -> Result<response::Room> {
        let mut room = self.empty_room();
        self.show_timeline(&mut room, timeline)?;
        room.required_state = self.show_state(state)?;
        about::changes(self, since, &mut room)?;
        show_unread(&mut room, unread);
        Ok(room)
    }

    fn told(&self, up_to: Position, standing: Standing) -> Told {
        Told {
            standing,
            up_to,
            timeline_limit: self.wanted.timeline_limit,
            required: self.wanted.required.clone(),
            members: HashSet::new(),
            unread: (0, 0),
        }
    }

    fn empty_room(&self) -> response::Room {
        let mut room = response::Room::new();
        room.bump_stamp = UInt::try_from(bump(self.stay, self.facts).0).ok();
        room.is_dm = Some(self.person.direct.contains(self.room_id));
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
            let event = present::sync_timeline(self.rooms(), pdu, &self.ask.viewer)?;
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
            .map(|pdu| present::sync_state(self.rooms(), pdu, &self.ask.viewer));
        shown.collect()
    }
}

fn show_unread(room: &mut response::Room, (notifications, highlights): (u64, u64)) {
    let mut counts = UnreadNotificationsCount::new();
    counts.notification_count = UInt::try_from(notifications).ok();
    counts.highlight_count = UInt::try_from(highlights).ok();
    room.unread_notifications = counts;
}
