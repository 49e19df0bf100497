//! What happens in rooms when somebody comes for the first time or goes for ever.
//!
//! None of it may keep an account from being made or ended, so what fails is said in the log only.

use ruma::{
    OwnedRoomId, OwnedRoomOrAliasId, RoomAliasId, RoomId, UserId,
    events::{
        StateEventType,
        room::{
            join_rules::{JoinRule, RoomJoinRulesEventContent},
            member::MembershipState,
        },
    },
};

use crate::{
    error::{Error, Result},
    rooms::membership::{self, Member},
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
    let join = Member::new(server, user, MembershipState::Join)?;
    membership::change(server, user, &room_id, join).await
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
