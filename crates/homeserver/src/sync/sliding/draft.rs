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
    connection::{RoomMembership, Snapshot},
    extensions,
    list::{self, RoomRequest},
    room::RoomResponseBuilder,
    sync_request::SyncRequest,
    user_rooms::{self, UserLists, UserMembership},
};
use crate::{
    blocking,
    error::Result,
    stream::Position,
    sync::{SyncContext, v3::outside::StrippedStateBudget},
};

/// The rooms that an answer is about.
#[derive(Debug, Default)]
pub(super) struct RequestedRooms {
    /// Through each list.
    pub(super) lists: BTreeMap<String, Vec<OwnedRoomId>>,
    /// By subscription.
    pub(super) subscribed: BTreeSet<OwnedRoomId>,
    /// All rooms of the user that the connection can show.
    pub(super) user_rooms: BTreeMap<OwnedRoomId, UserMembership>,
}

impl RequestedRooms {
    /// Whether the user is in the room.
    pub(super) fn is_joined(&self, room: &OwnedRoomId) -> bool {
        self.user_rooms
            .get(room)
            .is_some_and(|user_room| user_room.room_membership == RoomMembership::Joined)
    }
}

/// An answer that could be given now.
#[derive(Debug)]
pub(super) struct ResponseDraft {
    /// The answer; its position is given when it is sent.
    pub(super) response: Response,
    /// What the client was told once it is sent.
    pub(super) next: Snapshot,
    /// Whether the client learns anything from it.
    pub(super) has_changes: bool,
}

impl ResponseDraft {
    /// Looks at everything, as it was at `now`, that the client was not told according to `base`.
    pub(super) async fn read(
        ctx: &SyncContext,
        sync_request: &SyncRequest,
        base: &Snapshot,
        now: Position,
    ) -> Result<Self> {
        let user_lists = UserLists::read(&ctx.store, sync_request.user())?;
        let mut response = Response::new(String::new());
        response.txn_id.clone_from(&sync_request.txn_id);
        let mut next = base.clone();
        next.position = now;
        next.counts.clear();
        let mut draft = Self {
            response,
            next,
            has_changes: base.is_first(),
        };
        let (visible, wanted) = draft.lists(ctx, sync_request, base, &user_lists, now)?;
        let rooms = draft.rooms(ctx, sync_request, base, &user_lists, &visible, &wanted);
        rooms.await?;
        let mut answer = extensions::Answer {
            ctx,
            sync_request,
            base,
            visible: &visible,
            next: &mut draft.next,
            extensions: &mut draft.response.extensions,
        };
        let extensions_have_news = answer.fill()?;
        draft.has_changes |= extensions_have_news
            || !draft.response.rooms.is_empty()
            || draft.next.counts != base.counts;
        Ok(draft)
    }

    /// Which rooms are seen, and what is wanted of each.
    fn lists(
        &mut self,
        ctx: &SyncContext,
        sync_request: &SyncRequest,
        base: &Snapshot,
        user_lists: &UserLists,
        now: Position,
    ) -> Result<(RequestedRooms, BTreeMap<OwnedRoomId, RoomRequest>)> {
        let (rooms, facts) = (&ctx.rooms, &ctx.sliding.facts);
        facts.follow(rooms, now)?;
        let mut visible = RequestedRooms {
            user_rooms: user_rooms::user_rooms(rooms, user_lists, sync_request.user(), base, now)?,
            ..RequestedRooms::default()
        };
        let mut candidates =
            user_rooms::candidates(rooms, facts, sync_request, user_lists, &visible.user_rooms)?;
        list::sort(&mut candidates);
        let mut wanted = BTreeMap::new();
        for (name, list) in &sync_request.lists {
            let listed = list.select_rooms(&candidates);
            list::merge_request(&mut wanted, &listed.visible, &list.wanted);
            let mut shown = response::List::default();
            shown.count = UInt::try_from(listed.count).unwrap_or(UInt::MAX);
            self.response.lists.insert(name.clone(), shown);
            self.next.counts.insert(name.clone(), listed.count);
            visible.lists.insert(name.clone(), listed.visible);
        }
        let moved = moved_rooms(base, &visible.user_rooms);
        for list in sync_request.lists.values() {
            list::merge_request(&mut wanted, &moved, &list.wanted);
        }
        list::merge_request(&mut wanted, &moved, &RoomRequest::default());
        for (room, subscription) in &sync_request.subscriptions {
            if visible.user_rooms.contains_key(room) {
                list::merge_request(&mut wanted, std::slice::from_ref(room), subscription);
                visible.subscribed.insert(room.clone());
            }
        }
        Ok((visible, wanted))
    }

    async fn rooms(
        &mut self,
        ctx: &SyncContext,
        sync_request: &SyncRequest,
        base: &Snapshot,
        user_lists: &UserLists,
        visible: &RequestedRooms,
        wanted: &BTreeMap<OwnedRoomId, RoomRequest>,
    ) -> Result<()> {
        let invited_or_knocking = wanted
            .keys()
            .filter_map(|room| visible.user_rooms.get(room));
        let invited_or_knocking = invited_or_knocking
            .filter(|user_room| user_room.room_membership == RoomMembership::InvitedOrKnocking);
        let outside = StrippedStateBudget::for_rooms(invited_or_knocking.count());
        for (room_id, wanted) in wanted {
            let Some(user_room) = visible.user_rooms.get(room_id) else {
                continue;
            };
            let look_facts = ctx.sliding.facts.of(&ctx.rooms, room_id)?;
            let look = RoomResponseBuilder {
                ctx,
                sync_request,
                user_lists,
                base,
                now: self.next.position,
                room_id,
                user_room,
                wanted,
                facts: &look_facts,
                outside: &outside,
            };
            let news = look.update()?;
            if let Some(room) = news.room {
                self.response.rooms.insert(room_id.clone(), room);
            }
            if let Some(sent_room) = news.sent_room {
                self.next.rooms.insert(room_id.clone(), Arc::new(sent_room));
            }
            blocking::pause().await;
        }
        Ok(())
    }
}

/// The rooms in which the user's own part is another one than the client was told. It is told of them wherever its windows are: it
/// would go on to believe that the user is in a room, or is asked into it.
fn moved_rooms(
    base: &Snapshot,
    user_rooms: &BTreeMap<OwnedRoomId, UserMembership>,
) -> Vec<OwnedRoomId> {
    let has_moved = |room: &OwnedRoomId, now: &UserMembership| {
        base.rooms.get(room).is_some_and(|sent| {
            let is_new =
                now.room_membership == RoomMembership::InvitedOrKnocking && sent.up_to < now.since;
            sent.room_membership != now.room_membership || is_new
        })
    };
    let moved = user_rooms.iter().filter(|(room, now)| has_moved(room, now));
    moved.map(|(room, _)| room.clone()).collect()
}
