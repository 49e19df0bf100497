//! The rooms that a new user is put into.
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

use super::Operations;
use crate::{
    error::{Error, Result},
    rooms::membership::{self, MembershipUpdate},
    store::tables,
};

impl Operations {
    /// Puts somebody new into the rooms that everybody begins in, and the first person into the admin room.
    pub(super) async fn join_initial_rooms(&self, user: &UserId, first: bool) {
        if let Err(error) = self.accept_invitations(user).await {
            tracing::warn!(%error, user.id = %user, "could not accept the invitations of a new account");
        }
        for room in &self.registration.auto_join_rooms {
            if let Err(error) = self.join_first(user, room).await {
                tracing::warn!(%error, user.id = %user, room = %room, "could not auto-join a new account");
            }
        }
        if first {
            tracing::info!(user.id = %user, "first account created");
            if let Err(error) = self.grant_admin_to_first_user(user).await {
                tracing::warn!(%error, user.id = %user, "could not make the first user an admin");
            }
        }
    }

    async fn join_first(&self, user: &UserId, room: &OwnedRoomOrAliasId) -> Result<()> {
        let room_id = self.resolve_first(room)?;
        let rule = self
            .rooms
            .state(&room_id)
            .content::<RoomJoinRulesEventContent>(&StateEventType::RoomJoinRules, "")?
            .map(|content| content.join_rule);
        if rule != Some(JoinRule::Public) {
            return Err(Error::forbidden("the room is not public"));
        }
        let join = MembershipUpdate::new(&self.rooms, user, MembershipState::Join)?;
        membership::set_membership(&self.rooms, user, &room_id, join).await
    }

    fn resolve_first(&self, room: &OwnedRoomOrAliasId) -> Result<OwnedRoomId> {
        if let Ok(room) = <&RoomId>::try_from(&**room) {
            return Ok(room.to_owned());
        }
        let alias =
            <&RoomAliasId>::try_from(&**room).map_err(|_| Error::not_found("it is no room"))?;
        let record = self.store.get::<tables::Aliases>((alias,))?;
        record
            .map(|record| record.room_id)
            .ok_or_else(|| Error::not_found("there is no such alias"))
    }
}
