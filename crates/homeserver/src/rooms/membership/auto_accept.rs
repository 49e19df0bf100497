//! Invitations that the server accepts for its users: `auto_accept_invites`, as in Tuwunel.
//!
//! The join is written together with the invitation, so nobody sees an invitation that asks for nothing. Whoever is invited before they
//! have an account joins when it is made. What is not accepted stays an invitation.

use ruma::{
    OwnedRoomId, RoomId, UserId,
    events::room::member::{MembershipState, RoomMemberEventContent},
};

use super::MembershipUpdate;
use crate::{
    accounts::ignored,
    error::{Error, Result},
    rooms::{Draft, Rooms, admin_room, record::Membership},
};

/// The join that follows from an invitation; nothing if the user is to answer it.
///
/// # Errors
///
/// If the database fails.
pub fn join_after(
    rooms: &Rooms,
    sender: &UserId,
    invited: &MembershipUpdate,
) -> Result<Option<Draft>> {
    let is_invite = invited.membership == MembershipState::Invite;
    if !is_invite || !is_accepted(rooms, sender, &invited.user, invited.is_direct)? {
        return Ok(None);
    }
    let join = MembershipUpdate::new(rooms, &invited.user, MembershipState::Join)?;
    join.draft(&invited.user).map(Some)
}

/// Joins a room to which the user is invited, if the invitation is one that is accepted. Says whether it was.
///
/// # Errors
///
/// 403 if the room's rules let nobody in.
pub async fn accept_pending(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<bool> {
    let member = rooms.membership(room, user)?;
    let Some(invite) = member.filter(Membership::is_invited) else {
        return Ok(false);
    };
    let is_direct = is_direct(rooms, &invite)?;
    if !is_accepted(rooms, &invite.sender, user, is_direct)? {
        return Ok(false);
    }
    let join = MembershipUpdate::new(rooms, user, MembershipState::Join)?;
    // No invitation follows from a join.
    Box::pin(super::set_membership(rooms, user, room, join)).await?;
    Ok(true)
}

/// The same for an invitation that was written when there may have been no account. A room that lets nobody in keeps its invitation.
///
/// # Errors
///
/// If the database fails.
pub async fn accept_late(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<()> {
    match accept_pending(rooms, user, room).await {
        Ok(_) => Ok(()),
        Err(Error::Refused(refusal)) => {
            tracing::debug!(room.id = %room, reason = refusal.message, "invitation is left to be answered");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The rooms to which a user is invited; none if invitations are not accepted here.
///
/// # Errors
///
/// If the database fails.
pub fn pending(rooms: &Rooms, user: &UserId) -> Result<Vec<OwnedRoomId>> {
    if !rooms.config.auto_accept_invites {
        return Ok(Vec::new());
    }
    let all = rooms.memberships(user)?.into_iter();
    Ok(all
        .filter(|(_, member)| member.is_invited())
        .map(|(room, _)| room)
        .collect())
}

/// Whether an invitation is to a direct chat.
///
/// # Errors
///
/// If the database fails.
pub fn is_direct(rooms: &Rooms, invite: &Membership) -> Result<bool> {
    let event = rooms.event(&invite.event_id)?;
    let content = event.and_then(|pdu| pdu.content_as::<RoomMemberEventContent>());
    Ok(content.is_some_and(|content| content.is_direct == Some(true)))
}

/// Whether this is an application service's own user. Its other users act for people of other networks, who are strangers here.
fn is_bot(rooms: &Rooms, user: &UserId) -> bool {
    let services = rooms.appservices.all();
    let mut senders = services
        .iter()
        .filter_map(|service| service.sender(&rooms.server_name).ok());
    senders.any(|sender| sender == *user)
}

/// Whether an invitation is accepted for the user: by the configuration, and if the user can act and does not ignore who invites.
fn is_accepted(rooms: &Rooms, sender: &UserId, user: &UserId, is_direct: bool) -> Result<bool> {
    let config = &rooms.config;
    if !config.auto_accept_invites || (config.auto_accept_invites_direct_only && !is_direct) {
        return Ok(false);
    }
    if config.auto_accept_invites_appservices_only && !is_bot(rooms, sender) {
        return Ok(false);
    }
    let Some(account) = rooms.accounts.get(user)? else {
        return Ok(false);
    };
    // Application services answer the invitations of their users themselves.
    let can_act = !(account.deactivated || account.guest || account.locked || account.suspended);
    Ok(can_act
        && !admin_room::is_of_appservice(rooms, user)?
        && !ignored::ignored_by(&rooms.store, user)?.contains(sender))
}
