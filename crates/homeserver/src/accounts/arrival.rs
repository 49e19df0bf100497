//! What happens in rooms when somebody comes for the first time or goes for ever.
//!
//! None of it may keep an account from being made or ended, so what fails is said in the log only.

use ruma::{
    OwnedRoomId, OwnedRoomOrAliasId, RoomAliasId, RoomId, UserId,
    events::{
        StateEventType,
        room::{
            join_rules::{JoinRule, RoomJoinRulesEventContent},
            member::{MembershipState, RoomMemberEventContent},
        },
    },
};

use super::profile;
use crate::{
    error::{Error, Result},
    rooms::Draft,
    server::Server,
    store::tables,
};

/// Puts somebody new into the rooms that everybody begins in, and the first person into the admin room.
pub(super) async fn welcome(server: &Server, user: &UserId, first: bool) {
    for room in &server.config.registration.auto_join_rooms {
        if let Err(error) = join(server, user, room).await {
            tracing::warn!(%error, user.id = %user, room = %room, "a new account was not put into a room");
        }
    }
    if first {
        tracing::info!(user.id = %user, "this is the first person here");
        if let Err(error) = crate::admin::first_person(server, user).await {
            tracing::warn!(%error, user.id = %user, "the first person is no admin");
        }
    }
}

/// Takes somebody out of all rooms, and turns down all invitations.
pub(super) async fn leave_all(server: &Server, user: &UserId) {
    let rooms = server.rooms.memberships(user).unwrap_or_default();
    for (room, member) in rooms {
        if !member.is_joined() && !member.is_invited() {
            continue;
        }
        if let Err(error) = become_a(server, user, &room, MembershipState::Leave).await {
            tracing::warn!(%error, user.id = %user, room.id = %room, "somebody did not leave a room");
        }
    }
}

/// Tells the rooms that somebody is in what they are called and look like now.
pub async fn tell_rooms_of_profile(server: &Server, user: &UserId) {
    for room in server.rooms.joined_rooms(user).unwrap_or_default() {
        if let Err(error) = become_a(server, user, &room, MembershipState::Join).await {
            tracing::warn!(%error, user.id = %user, room.id = %room, "a room did not learn of a new profile");
        }
    }
}

async fn join(server: &Server, user: &UserId, room: &OwnedRoomOrAliasId) -> Result<()> {
    let room_id = resolve(server, room)?;
    let rule = server
        .rooms
        .state(&room_id)
        .content::<RoomJoinRulesEventContent>(&StateEventType::RoomJoinRules, "")?
        .map(|content| content.join_rule);
    if rule != Some(JoinRule::Public) {
        return Err(Error::forbidden("the room is not public"));
    }
    become_a(server, user, &room_id, MembershipState::Join).await
}

fn resolve(server: &Server, room: &OwnedRoomOrAliasId) -> Result<OwnedRoomId> {
    if let Ok(room) = <&RoomId>::try_from(&**room) {
        return Ok(room.to_owned());
    }
    let alias = <&RoomAliasId>::try_from(&**room).map_err(|_| Error::not_found("it is no room"))?;
    let record = server.store.get::<tables::Aliases>((alias,))?;
    record
        .map(|record| record.room_id)
        .ok_or_else(|| Error::not_found("there is no such alias"))
}

async fn become_a(
    server: &Server,
    user: &UserId,
    room: &RoomId,
    membership: MembershipState,
) -> Result<()> {
    let mut content = RoomMemberEventContent::new(membership);
    content.displayname = profile::display_name(&server.store, user)?;
    content.avatar_url = profile::avatar_url(&server.store, user)?;
    let kind = StateEventType::RoomMember;
    let draft = Draft::state(user.to_owned(), &kind, user.as_str(), &content)?;
    let mut writer = server.rooms.write(room).await?;
    writer.add(draft)?;
    writer.commit().await?;
    Ok(())
}
