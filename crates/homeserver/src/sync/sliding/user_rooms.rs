//! How the user who asks stands to rooms, and what the user says of them: direct rooms, tags, people to ignore.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, room::member::MembershipState, room::member::RoomMemberEventContent,
        space::child::SpaceChildEventContent,
    },
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    connection::{RoomMembership, Snapshot},
    filter::Candidate,
    room_info::{RoomInfo, RoomInfoCache},
    sync_request::SyncRequest,
};
use crate::{
    accounts::account_data,
    accounts::ignored::ignored_by,
    error::Result,
    rooms::{Rooms, record::Membership},
    store::Store,
    stream::Position,
};

/// A room of the user.
#[derive(Clone, Debug)]
pub(super) struct UserMembership {
    /// How the user stands to it.
    pub(super) room_membership: RoomMembership,
    /// Whether the user is invited, not knocking.
    pub(super) invited: bool,
    /// Since when.
    pub(super) since: Position,
}

/// What the user says of rooms and people.
#[derive(Clone, Debug, Default)]
pub(super) struct UserLists {
    /// Rooms for talks with one person.
    pub(super) direct: HashSet<OwnedRoomId>,
    /// People whose messages the user does not want to see.
    pub(super) ignored: BTreeSet<OwnedUserId>,
}

#[derive(Deserialize)]
#[allow(
    clippy::zero_sized_map_values,
    reason = "only the names are of interest"
)]
struct Tags {
    tags: BTreeMap<String, serde::de::IgnoredAny>,
}

fn said<C: DeserializeOwned>(
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Option<C>> {
    let datum = account_data::get(store, user, room, kind)?;
    // What a client wrote and is not in its form counts as not written.
    Ok(datum.and_then(|datum| serde_json::from_str(datum.content.get()).ok()))
}

impl UserLists {
    /// Reads what counts now.
    pub(super) fn read(store: &Store, user: &UserId) -> Result<Self> {
        let direct: Option<HashMap<String, Vec<OwnedRoomId>>> =
            said(store, user, None, "m.direct")?;
        Ok(Self {
            direct: direct
                .map(|rooms| rooms.into_values().flatten().collect())
                .unwrap_or_default(),
            ignored: ignored_by(store, user)?,
        })
    }
}

/// The rooms of a user that a connection can show: those that the user is in or invited to, and those that the client believes the
/// user is in and was not told otherwise.
pub(super) fn user_rooms(
    rooms: &Rooms,
    user_lists: &UserLists,
    user: &UserId,
    base: &Snapshot,
    now: Position,
) -> Result<BTreeMap<OwnedRoomId, UserMembership>> {
    let mut user_rooms = BTreeMap::new();
    let mut memberships = rooms.memberships(user)?;
    memberships.extend(rooms.forgotten(user)?);
    for (room, member) in memberships {
        let Some(user_room) = user_room(rooms, user_lists, user, &room, member, now)? else {
            continue;
        };
        let is_shown = base
            .rooms
            .get(&room)
            .is_some_and(|sent_room| sent_room.room_membership != RoomMembership::Gone);
        if user_room.room_membership != RoomMembership::Gone || is_shown {
            user_rooms.insert(room, user_room);
        }
    }
    Ok(user_rooms)
}

fn user_room(
    rooms: &Rooms,
    user_lists: &UserLists,
    user: &UserId,
    room: &RoomId,
    member: Membership,
    now: Position,
) -> Result<Option<UserMembership>> {
    let mut facts = (member.membership, member.position, member.sender);
    if facts.1 > now {
        // Not visible yet: what was before counts until it is.
        let Some(before) = rooms.state_at(room, now).member(user)? else {
            return Ok(None);
        };
        let Some(content) = before.content_as::<RoomMemberEventContent>() else {
            return Ok(None);
        };
        facts = (content.membership, before.position, before.sender.clone());
    }
    let (membership, since, sender) = facts;
    let room_membership = match membership {
        MembershipState::Join => RoomMembership::Joined,
        MembershipState::Invite if user_lists.ignored.contains(&sender) => return Ok(None),
        MembershipState::Invite | MembershipState::Knock => RoomMembership::InvitedOrKnocking,
        _ => RoomMembership::Gone,
    };
    Ok(Some(UserMembership {
        room_membership,
        invited: membership == MembershipState::Invite,
        since,
    }))
}

/// The rooms as filters and order see them.
pub(super) fn candidates(
    rooms: &Rooms,
    facts: &RoomInfoCache,
    sync_request: &SyncRequest,
    user_lists: &UserLists,
    user_rooms: &BTreeMap<OwnedRoomId, UserMembership>,
) -> Result<Vec<Candidate>> {
    let asks_tags = sync_request.lists.values().any(|list| {
        let more = &list.filters.more;
        more.tags.is_some() || more.not_tags.is_some()
    });
    let spaces = spaces(rooms, sync_request, user_rooms)?;
    let mut candidates = Vec::with_capacity(user_rooms.len());
    for (room, user_room) in user_rooms {
        // The end of a room is told once, beside the lists.
        if user_room.room_membership == RoomMembership::Gone {
            continue;
        }
        let facts = facts.of(rooms, room)?;
        let mut candidate = candidate(room, user_room, &facts);
        candidate.direct = user_lists.direct.contains(room);
        if asks_tags {
            let tags: Option<Tags> = said(&rooms.store, sync_request.user(), Some(room), "m.tag")?;
            candidate.tags = tags
                .map(|tags| tags.tags.into_keys().collect())
                .unwrap_or_default();
        }
        candidate.spaces = spaces
            .iter()
            .filter(|(_, children)| children.contains(room))
            .map(|(space, _)| space.clone())
            .collect();
        candidates.push(candidate);
    }
    Ok(candidates)
}

fn candidate(room: &RoomId, user_room: &UserMembership, facts: &RoomInfo) -> Candidate {
    Candidate {
        room_id: room.to_owned(),
        bump: bump_position(user_room, facts),
        invited: user_room.invited,
        direct: false,
        encrypted: facts.encrypted,
        room_type: facts.room_type.clone(),
        name: facts.name.clone(),
        tags: Vec::new(),
        spaces: Vec::new(),
    }
}

/// Where the room had its last news for this user. Whoever is not in it learns nothing of what happens there.
pub(super) fn bump_position(user_room: &UserMembership, facts: &RoomInfo) -> Position {
    match user_room.room_membership {
        RoomMembership::Joined => facts.bump,
        RoomMembership::InvitedOrKnocking | RoomMembership::Gone => user_room.since,
    }
}

/// The rooms in each space that a list asks for, where the user is in the space.
fn spaces(
    rooms: &Rooms,
    sync_request: &SyncRequest,
    user_rooms: &BTreeMap<OwnedRoomId, UserMembership>,
) -> Result<BTreeMap<OwnedRoomId, HashSet<OwnedRoomId>>> {
    let mut spaces = BTreeMap::new();
    let asked = sync_request.lists.values();
    for space in asked.flat_map(|list| list.filters.more.spaces.iter().flatten()) {
        let is_in =
            |user_room: &UserMembership| user_room.room_membership == RoomMembership::Joined;
        if !user_rooms.get(space).is_some_and(is_in) || spaces.contains_key(space) {
            continue;
        }
        let mut children = HashSet::new();
        for pdu in rooms.state(space).all_of(&StateEventType::SpaceChild)? {
            let is_child = pdu
                .content_as::<SpaceChildEventContent>()
                .is_some_and(|content| !content.via.is_empty());
            let child = pdu.state_key.as_deref().map(OwnedRoomId::try_from);
            if let (true, Some(Ok(child))) = (is_child, child) {
                children.insert(child);
            }
        }
        spaces.insert(space.clone(), children);
    }
    Ok(spaces)
}
