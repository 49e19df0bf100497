//! What a client shows of a room in its list: name, avatar, who is in it.

use ruma::{
    JsOption, OwnedMxcUri, UInt,
    api::client::sync::sync_events::v5::response::{Hero, Room},
    events::{
        StateEventType,
        room::{
            avatar::RoomAvatarEventContent,
            member::{MembershipState, RoomMemberEventContent},
        },
    },
};

use super::{Look, state::Since};
use crate::{
    error::Result,
    rooms::{RoomState, present},
    store::tables,
};

/// How many people stand for a room without a name.
const HEROES_MAX: usize = 5;

/// The state that somebody sees who is not in the room, besides member events.
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>
const SEEN_FROM_OUTSIDE: &[StateEventType] = &[
    StateEventType::RoomCreate,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomJoinRules,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
];

/// All of it.
pub(super) fn all(look: &Look<'_>, room: &mut Room) -> Result<()> {
    let state = look.rooms().state(look.room_id);
    room.name.clone_from(&look.facts.name);
    room.avatar = avatar(&state)?.map_or(JsOption::Undefined, JsOption::Some);
    people(look, room)
}

/// What changed of it.
pub(super) fn changes(look: &Look<'_>, since: &Since, room: &mut Room) -> Result<()> {
    if since.touches("m.room.name") {
        room.name.clone_from(&look.facts.name);
    }
    if since.touches("m.room.avatar") {
        let state = look.rooms().state(look.room_id);
        room.avatar = avatar(&state)?.map_or(JsOption::Null, JsOption::Some);
    }
    if since.touches("m.room.member") || since.touches("m.room.name") {
        people(look, room)?;
    }
    Ok(())
}

/// What somebody sees who is invited or knocks: the room as it was then.
pub(super) fn at_the_door(look: &Look<'_>, room: &mut Room) -> Result<()> {
    let state = look.rooms().state_at(look.room_id, look.stay.since);
    let mut seen = Vec::new();
    for kind in SEEN_FROM_OUTSIDE {
        seen.extend(state.get(kind, "")?);
    }
    let own = state.member(look.ask.user())?;
    if let Some(own) = &own
        && own.sender != *look.ask.user()
    {
        seen.extend(state.member(&own.sender)?);
    }
    seen.extend(own);
    let stripped: Result<Vec<_>> = seen.iter().map(|pdu| present::stripped(pdu)).collect();
    room.invite_state = Some(stripped?);
    room.name.clone_from(&look.facts.name);
    room.avatar = avatar(&state)?.map_or(JsOption::Undefined, JsOption::Some);
    Ok(())
}

fn avatar(state: &RoomState) -> Result<Option<OwnedMxcUri>> {
    let content = state.content::<RoomAvatarEventContent>(&StateEventType::RoomAvatar, "")?;
    Ok(content.and_then(|content| content.url))
}

/// How many are in the room, and who stands for it if it has no name.
fn people(look: &Look<'_>, room: &mut Room) -> Result<()> {
    let (mut joined, mut invited) = (UInt::MIN, UInt::MIN);
    let (mut present, mut past) = (Vec::new(), Vec::new());
    for row in look.server.store.scan::<tables::Members>((look.room_id,)) {
        let ((_, user), member) = row?;
        match member.membership {
            MembershipState::Join => joined = joined.saturating_add(UInt::from(1_u8)),
            MembershipState::Invite => invited = invited.saturating_add(UInt::from(1_u8)),
            MembershipState::Leave | MembershipState::Ban if user != *look.ask.user() => {
                past.push((member.position, user));
                continue;
            }
            _ => continue,
        }
        if user != *look.ask.user() {
            present.push((member.position, user));
        }
    }
    room.joined_count = Some(joined);
    room.invited_count = Some(invited);
    if look.facts.name.is_none() {
        // Who came first stands for the room; if all have left, those who were in it.
        let mut heroes = if present.is_empty() { past } else { present };
        heroes.sort();
        heroes.truncate(HEROES_MAX);
        let heroes = heroes.into_iter().map(|(_, user)| hero(look, user));
        room.heroes = Some(heroes.collect::<Result<_>>()?);
    }
    Ok(())
}

fn hero(look: &Look<'_>, user: ruma::OwnedUserId) -> Result<Hero> {
    let member = look.rooms().state(look.room_id).member(&user)?;
    let content = member.and_then(|pdu| pdu.content_as::<RoomMemberEventContent>());
    let mut hero = Hero::new(user);
    if let Some(content) = content {
        hero.name = content.displayname;
        hero.avatar = content.avatar_url;
    }
    Ok(hero)
}
