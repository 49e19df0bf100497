//! The list of public rooms, largest first. Spec: <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use std::collections::BTreeSet;

use ruma::{
    OwnedRoomId, RoomId, UInt, UserId,
    directory::{Filter, PublicRoomsChunk, RoomNetwork, RoomTypeFilter},
    events::StateEventType,
};

use super::{Rooms, summary::summarize};
use crate::{
    error::{Error, Result},
    limits::DIRECTORY_PAGE_MAX,
    store::{Exists, tables},
};

/// A page if nobody says how large it is to be.
const PAGE: usize = 100;

/// What is looked for.
#[derive(Debug, Default)]
pub struct Search {
    /// How many rooms at most.
    pub limit: Option<UInt>,
    /// The token of the page.
    pub since: Option<String>,
    /// Which rooms.
    pub filter: Filter,
    /// Of which network.
    pub network: RoomNetwork,
}

/// A page of the list.
#[derive(Debug)]
pub struct Page {
    /// The rooms.
    pub chunk: Vec<PublicRoomsChunk>,
    /// The token of the next page.
    pub next: Option<String>,
    /// The token of the page before.
    pub prev: Option<String>,
    /// How many rooms there are on all pages.
    pub total: UInt,
}

/// A page of the list of public rooms.
///
/// # Errors
///
/// 400 if the token is not one of ours.
pub fn page(rooms: &Rooms, search: &Search) -> Result<Page> {
    let start: usize = match &search.since {
        Some(token) => token
            .parse()
            .map_err(|_| Error::invalid("since is no token of this server"))?,
        None => 0,
    };
    let limit = search.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE).clamp(1, DIRECTORY_PAGE_MAX);
    let mut found = Vec::new();
    for room in published(rooms, &search.network)? {
        // A room that is gone stays in no list, but one broken row is no reason to show none.
        let Ok(summary) = summarize(rooms, &room) else {
            continue;
        };
        let summary = PublicRoomsChunk::from(summary);
        if matches(&summary, &search.filter) {
            found.push(summary);
        }
    }
    found.sort_by(|one, other| {
        let members = other.num_joined_members.cmp(&one.num_joined_members);
        members.then_with(|| one.room_id.cmp(&other.room_id))
    });
    let total = found.len();
    let end = start.saturating_add(limit);
    Ok(Page {
        chunk: found.into_iter().skip(start).take(limit).collect(),
        next: (end < total).then(|| end.to_string()),
        prev: (start > 0).then(|| start.saturating_sub(limit).to_string()),
        total: UInt::try_from(total).unwrap_or(UInt::MAX),
    })
}

/// The rooms in the list of a network.
pub fn published(rooms: &Rooms, network: &RoomNetwork) -> Result<BTreeSet<OwnedRoomId>> {
    let store = &rooms.store;
    let rows = match network {
        RoomNetwork::All => store.scan::<tables::PublicRooms>(()),
        RoomNetwork::ThirdParty(network) => store.scan::<tables::PublicRooms>((&**network,)),
        _ => store.scan::<tables::PublicRooms>(("",)),
    };
    rows.keys().map(|key| Ok(key?.1)).collect()
}

fn matches(room: &PublicRoomsChunk, filter: &Filter) -> bool {
    let kind = RoomTypeFilter::from(room.room_type.clone());
    if !filter.room_types.is_empty() && !filter.room_types.contains(&kind) {
        return false;
    }
    let Some(term) = &filter.generic_search_term else {
        return true;
    };
    let term = term.to_lowercase();
    let alias = room.canonical_alias.as_ref().map(|alias| alias.as_str());
    [room.name.as_deref(), room.topic.as_deref(), alias]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(&term))
}

/// Whether a room is in the server's own list.
pub fn is_public(rooms: &Rooms, room: &RoomId) -> Result<bool> {
    Ok(rooms.store.contains::<tables::PublicRooms>(("", room))?)
}

/// Puts a room into the list of a network (empty: the server's own), or takes it out.
pub async fn publish(rooms: &Rooms, network: &str, room: &RoomId, public: bool) -> Result<()> {
    let mut batch = rooms.store.batch();
    if public {
        batch.put::<tables::PublicRooms>((network, room), &Exists {})?;
    } else {
        batch.delete::<tables::PublicRooms>((network, room))?;
    }
    Ok(rooms.store.commit(batch).await?)
}

/// Refuses people who may not say in which list the room is: those who may not name it.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`.
pub fn check_may_publish(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<()> {
    let rules = rooms.rules(room)?;
    let levels = rooms.state(room).power_levels(&rules)?;
    let kind = StateEventType::RoomCanonicalAlias;
    if rooms.is_joined(room, user)? && levels.user_can_send_state(user, kind) {
        return Ok(());
    }
    Err(Error::forbidden(
        "Only who may name the room decides whether it is in the list of public rooms",
    ))
}
