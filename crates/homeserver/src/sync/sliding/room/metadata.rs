//! What a client shows of a room in its list: name, avatar, who is in it.

use ruma::{
    JsOption, OwnedMxcUri, OwnedUserId,
    api::client::sync::sync_events::v5::response::{Hero, Room},
    events::{
        StateEventType,
        room::{avatar::RoomAvatarEventContent, member::RoomMemberEventContent},
    },
};

use super::{RoomResponseBuilder, state::StateChanges};
use crate::{
    error::Result,
    rooms::RoomState,
    sync::{room::summary, v3::outside::stripped_state},
};

/// All of it.
pub(super) fn all(look: &RoomResponseBuilder<'_>, room: &mut Room) -> Result<()> {
    let state = look.rooms().state(look.room_id);
    room.name.clone_from(&look.facts.name);
    room.avatar = avatar(&state)?.map_or(JsOption::Undefined, JsOption::Some);
    people(look, room)
}

/// What changed of it.
pub(super) fn changes(
    look: &RoomResponseBuilder<'_>,
    since: &StateChanges,
    room: &mut Room,
) -> Result<()> {
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
pub(super) fn invited_or_knocking(look: &RoomResponseBuilder<'_>, room: &mut Room) -> Result<()> {
    let (rooms, room_id, user) = (look.rooms(), look.room_id, look.sync_request.user());
    let visible = match rooms.membership(room_id, user)? {
        Some(member) => stripped_state(rooms, room_id, (user, &member), look.outside)?,
        None => Vec::new(),
    };
    room.invite_state = Some(visible);
    room.name.clone_from(&look.facts.name);
    let state = rooms.state_at(room_id, look.user_room.since);
    room.avatar = avatar(&state)?.map_or(JsOption::Undefined, JsOption::Some);
    Ok(())
}

fn avatar(state: &RoomState) -> Result<Option<OwnedMxcUri>> {
    let content = state.content::<RoomAvatarEventContent>(&StateEventType::RoomAvatar, "")?;
    Ok(content.and_then(|content| content.url))
}

/// How many are in the room, and who stands for it if it has no name.
fn people(look: &RoomResponseBuilder<'_>, room: &mut Room) -> Result<()> {
    let summary = summary(look.rooms(), look.room_id, look.sync_request.user())?;
    room.joined_count = summary.joined_member_count;
    room.invited_count = summary.invited_member_count;
    if look.facts.name.is_none() {
        let heroes = summary.heroes.into_iter().map(|user| hero(look, user));
        room.heroes = Some(heroes.collect::<Result<_>>()?);
    }
    Ok(())
}

fn hero(look: &RoomResponseBuilder<'_>, user: OwnedUserId) -> Result<Hero> {
    let member = look.rooms().state(look.room_id).member(&user)?;
    let content = member.and_then(|pdu| pdu.content_as::<RoomMemberEventContent>());
    let mut hero = Hero::new(user);
    if let Some(content) = content {
        hero.name = content.displayname;
        hero.avatar = content.avatar_url;
    }
    Ok(hero)
}
