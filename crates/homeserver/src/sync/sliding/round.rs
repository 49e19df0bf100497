//! One look at everything for one answer: lists, the rooms seen through them, extensions, and whether any of it is news.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, UInt,
    api::client::sync::sync_events::v5::{Response, response},
};

use super::{
    ask::Ask,
    connection::{Snapshot, Standing},
    extensions,
    list::{self, Wanted},
    person::{self, Person, Stay},
    room::Look,
};
use crate::{
    blocking,
    error::Result,
    stream::Position,
    sync::{SyncContext, v3::outside::Budget},
};

/// The rooms that an answer is about.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Through each list.
    pub(super) lists: BTreeMap<String, Vec<OwnedRoomId>>,
    /// By subscription.
    pub(super) subscribed: BTreeSet<OwnedRoomId>,
    /// All rooms of the user that the connection can show.
    pub(super) stays: BTreeMap<OwnedRoomId, Stay>,
}

impl Seen {
    /// Whether the user is in the room.
    pub(super) fn is_joined(&self, room: &OwnedRoomId) -> bool {
        self.stays
            .get(room)
            .is_some_and(|stay| stay.standing == Standing::Joined)
    }
}

/// An answer that could be given now.
#[derive(Debug)]
pub(super) struct Round {
    /// The answer; its position is given when it is sent.
    pub(super) response: Response,
    /// What the client was told once it is sent.
    pub(super) next: Snapshot,
    /// Whether the client learns anything from it.
    pub(super) has_news: bool,
}

impl Round {
    /// Looks at everything, as it was at `now`, that the client was not told according to `base`.
    pub(super) async fn read(
        ctx: &SyncContext,
        ask: &Ask,
        base: &Snapshot,
        now: Position,
    ) -> Result<Self> {
        let person = Person::read(&ctx.store, ask.user())?;
        let mut response = Response::new(String::new());
        response.txn_id.clone_from(&ask.txn_id);
        let mut next = base.clone();
        next.position = now;
        next.counts.clear();
        let mut round = Self {
            response,
            next,
            has_news: base.is_first(),
        };
        let (seen, wanted) = round.lists(ctx, ask, base, &person, now)?;
        let rooms = round.rooms(ctx, ask, base, &person, &seen, &wanted);
        rooms.await?;
        let mut answer = extensions::Answer {
            ctx,
            ask,
            base,
            seen: &seen,
            next: &mut round.next,
            extensions: &mut round.response.extensions,
        };
        let extensions_have_news = answer.fill()?;
        round.has_news |= extensions_have_news
            || !round.response.rooms.is_empty()
            || round.next.counts != base.counts;
        Ok(round)
    }

    /// Which rooms are seen, and what is wanted of each.
    fn lists(
        &mut self,
        ctx: &SyncContext,
        ask: &Ask,
        base: &Snapshot,
        person: &Person,
        now: Position,
    ) -> Result<(Seen, BTreeMap<OwnedRoomId, Wanted>)> {
        let (rooms, facts) = (&ctx.rooms, &ctx.sliding.facts);
        facts.follow(rooms, now)?;
        let mut seen = Seen {
            stays: person::stays(rooms, person, ask.user(), base, now)?,
            ..Seen::default()
        };
        let mut candidates = person::candidates(rooms, facts, ask, person, &seen.stays)?;
        list::sort(&mut candidates);
        let mut wanted = BTreeMap::new();
        for (name, list) in &ask.lists {
            let listed = list.look(&candidates);
            list::want(&mut wanted, &listed.seen, &list.wanted);
            let mut shown = response::List::default();
            shown.count = UInt::try_from(listed.count).unwrap_or(UInt::MAX);
            self.response.lists.insert(name.clone(), shown);
            self.next.counts.insert(name.clone(), listed.count);
            seen.lists.insert(name.clone(), listed.seen);
        }
        for (room, subscription) in &ask.subscriptions {
            if seen.stays.contains_key(room) {
                list::want(&mut wanted, std::slice::from_ref(room), subscription);
                seen.subscribed.insert(room.clone());
            }
        }
        Ok((seen, wanted))
    }

    async fn rooms(
        &mut self,
        ctx: &SyncContext,
        ask: &Ask,
        base: &Snapshot,
        person: &Person,
        seen: &Seen,
        wanted: &BTreeMap<OwnedRoomId, Wanted>,
    ) -> Result<()> {
        let at_the_door = wanted.keys().filter_map(|room| seen.stays.get(room));
        let at_the_door = at_the_door.filter(|stay| stay.standing == Standing::AtTheDoor);
        let outside = Budget::for_rooms(at_the_door.count());
        for (room_id, wanted) in wanted {
            let Some(stay) = seen.stays.get(room_id) else {
                continue;
            };
            let look_facts = ctx.sliding.facts.of(&ctx.rooms, room_id)?;
            let look = Look {
                ctx,
                ask,
                person,
                base,
                now: self.next.position,
                room_id,
                stay,
                wanted,
                facts: &look_facts,
                outside: &outside,
            };
            let news = look.news()?;
            if let Some(room) = news.room {
                self.response.rooms.insert(room_id.clone(), room);
            }
            if let Some(told) = news.told {
                self.next.rooms.insert(room_id.clone(), Arc::new(told));
            }
            blocking::pause().await;
        }
        Ok(())
    }
}
