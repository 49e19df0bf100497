//! What both syncs tell of a room besides its events: who is in it, and how much of it is unread.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing> (`RoomSummary`)

use std::collections::BTreeMap;

use ruma::{
    OwnedUserId, RoomId, UInt, UserId,
    api::client::sync::sync_events::{UnreadNotificationsCount, v3::RoomSummary},
    events::{StateEventType, room::member::MembershipState},
};
use serde::Deserialize;

use crate::{
    error::Result,
    rooms::{self, Rooms},
    store::tables,
    stream::Position,
};

/// After how many members a room without a name is called.
const HEROES: usize = 5;

/// Whom a room is called after, and how many are in it, as it is now. Rooms with a name or an alias need no heroes.
pub fn summary(rooms: &Rooms, room: &RoomId, viewer: &UserId) -> Result<RoomSummary> {
    let (mut joined, mut invited) = (0_u64, 0_u64);
    let (mut present, mut gone): (Vec<(Position, OwnedUserId)>, Vec<_>) = (Vec::new(), Vec::new());
    for row in rooms.store.scan::<tables::Members>((room,)) {
        let ((_, user), member) = row?;
        let list = match member.membership {
            MembershipState::Join => {
                joined += 1;
                &mut present
            }
            MembershipState::Invite => {
                invited += 1;
                &mut present
            }
            _ => &mut gone,
        };
        if user != viewer {
            list.push((member.position, user));
        }
    }
    let mut summary = RoomSummary::new();
    summary.joined_member_count = UInt::new(joined);
    summary.invited_member_count = UInt::new(invited);
    if !is_named(rooms, room)? {
        let mut heroes = if present.is_empty() { gone } else { present };
        heroes.sort();
        summary.heroes = heroes
            .into_iter()
            .take(HEROES)
            .map(|(_, user)| user)
            .collect();
    }
    Ok(summary)
}

fn is_named(rooms: &Rooms, room: &RoomId) -> Result<bool> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
        alias: Option<String>,
    }
    let state = rooms.state(room);
    for kind in [StateEventType::RoomName, StateEventType::RoomCanonicalAlias] {
        let named = state.content::<Named>(&kind, "")?;
        if named.is_some_and(|content| {
            [content.name, content.alias]
                .iter()
                .flatten()
                .any(|text| !text.is_empty())
        }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How much of a room is unread: for the room, and for each thread if the client knows threads.
pub fn unread(
    rooms: &Rooms,
    user: &UserId,
    room: &RoomId,
    until: Position,
    knows_threads: bool,
) -> Result<(
    UnreadNotificationsCount,
    BTreeMap<ruma::OwnedEventId, UnreadNotificationsCount>,
)> {
    let unread = rooms::unread(rooms, user, room, until)?;
    let count = |(notify, highlight): (u64, u64)| {
        let mut count = UnreadNotificationsCount::new();
        count.notification_count = UInt::new(notify);
        count.highlight_count = UInt::new(highlight);
        count
    };
    if !knows_threads {
        return Ok((count(unread.total()), BTreeMap::new()));
    }
    let room = count((unread.notify, unread.highlight));
    let threads = unread.threads.into_iter();
    Ok((
        room,
        threads
            .map(|(root, counts)| (root, count(counts)))
            .collect(),
    ))
}
