//! The admin room: which one it is, and who may be in it.
//!
//! Its commands are another matter (`admin`): what stands here is asked by all who let somebody into a room.

use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, ServerName, UserId,
    events::room::member::MembershipState,
};

use super::Rooms;
use crate::{
    accounts::identity::SERVER_USER,
    error::{Error, Result},
    store::tables,
};

/// The local part of the admin room's alias.
pub(crate) const ROOM_LOCALPART: &str = "admins";
/// The power of an admin in the room.
pub(crate) const ADMIN_POWER: u64 = 100;
/// Why a user of an application service is not let in, or has to go.
pub(crate) const REFUSAL: &str = "Users of application services cannot be in the admin room";

/// The server's own user.
pub fn server_user(server_name: &ServerName) -> Result<OwnedUserId> {
    UserId::parse(format!("@{SERVER_USER}:{server_name}"))
        .map_err(|error| Error::Broken(format!("the server's own user: {error}")))
}

pub(crate) fn alias(server_name: &ServerName) -> Result<OwnedRoomAliasId> {
    RoomAliasId::parse(format!("#{ROOM_LOCALPART}:{server_name}"))
        .map_err(|error| Error::Broken(format!("the alias of the admin room: {error}")))
}

/// The admin room, if there is one: where its alias leads, as long as the server itself is there.
pub fn room(rooms: &Rooms) -> Result<Option<OwnedRoomId>> {
    let user = server_user(&rooms.server_name)?;
    let record = rooms
        .store
        .get::<tables::Aliases>((&*alias(&rooms.server_name)?,))?
        .filter(|record| record.creator == user);
    match record {
        Some(record) if rooms.is_joined(&record.room_id, &user)? => Ok(Some(record.room_id)),
        _ => Ok(None),
    }
}

/// Whether the user is an admin: in the admin room, and a person or the server itself.
pub fn is_admin(rooms: &Rooms, user: &UserId) -> Result<bool> {
    let Some(room) = room(rooms)? else {
        return Ok(false);
    };
    Ok(rooms.is_joined(&room, user)? && !is_of_appservice(rooms, user)?)
}

/// Whether the user is one of an application service: its account was made by one, or nobody but one can be this user. The server's
/// own user is none.
///
/// A namespace that is not exclusive says nothing: people are in those that bridges have for double puppeting.
pub fn is_of_appservice(rooms: &Rooms, user: &UserId) -> Result<bool> {
    if user == server_user(&rooms.server_name)? {
        return Ok(false);
    }
    let account = rooms.accounts.get(user)?;
    Ok(account.is_some_and(|account| account.appservice.is_some())
        || rooms.appservices.is_exclusive_user(user, None))
}

/// Refuses to let a user of an application service into the admin room.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`.
pub fn check_member(rooms: &Rooms, room_id: &RoomId, user: &UserId) -> Result<()> {
    if is_of_appservice(rooms, user)? && room(rooms)?.is_some_and(|admins| admins == room_id) {
        return Err(Error::forbidden(REFUSAL));
    }
    Ok(())
}

/// Whether it brings somebody into a room, or leads there.
pub fn is_join_invite_or_knock(membership: &MembershipState) -> bool {
    matches!(
        membership,
        MembershipState::Join | MembershipState::Invite | MembershipState::Knock
    )
}
