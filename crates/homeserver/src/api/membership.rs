//! Coming and going. Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-membership>

use ruma::{
    OwnedUserId, RoomId,
    api::client::{
        knock::knock_room,
        membership::{
            ban_user, forget_room,
            invite_user::{self, v3::InvitationRecipient},
            join_room_by_id, join_room_by_id_or_alias, kick_user, leave_room, unban_user,
        },
    },
    events::room::member::MembershipState,
};

use crate::{
    accounts::query_missing_users,
    caller::{Caller, RequestMetadata},
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, membership::MembershipUpdate},
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(invite)
        .add(join)
        .add(join_by_alias)
        .add(knock)
        .add(leave)
        .add(kick)
        .add(ban)
        .add(unban)
        .add(forget)
}

/// Who asks, and what for.
struct MembershipRequest<'a> {
    services: &'a Services,
    caller: &'a Caller,
    facts: &'a RequestMetadata,
    room: &'a RoomId,
    reason: Option<String>,
}

impl MembershipRequest<'_> {
    async fn make(self, user: &OwnedUserId, membership: MembershipState) -> Result<()> {
        let mut member = MembershipUpdate::new(&self.services.rooms, user, membership)?;
        member.reason = self.reason;
        member.time = self.facts.massaged_time(self.caller)?;
        rooms::membership::set_membership(
            &self.services.rooms,
            &self.caller.user_id,
            self.room,
            member,
        )
        .await
    }
}

macro_rules! asked {
    ($services:ident, $call:ident, $room:expr) => {
        MembershipRequest {
            services: &$services,
            caller: &$call.caller,
            facts: &$call.facts,
            room: $room,
            reason: $call.body.reason.clone(),
        }
    };
}

async fn invite(
    services: AppState,
    call: Call<invite_user::v3::Request>,
) -> Result<invite_user::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let InvitationRecipient::UserId(recipient) = &call.body.recipient else {
        return Err(rooms::membership::no_third_party());
    };
    let asked = MembershipRequest {
        services: &services,
        caller: &call.caller,
        facts: &call.facts,
        room: &call.body.room_id,
        reason: recipient.reason.clone(),
    };
    let (appservice, user) = (call.caller.appservice.as_deref(), &recipient.user_id);
    query_missing_users(
        &services.accounts,
        &services.appservices,
        appservice,
        std::slice::from_ref(user),
    )
    .await?;
    asked
        .make(&recipient.user_id, MembershipState::Invite)
        .await?;
    Ok(invite_user::v3::Response::new())
}

async fn join(
    services: AppState,
    call: Call<join_room_by_id::v3::Request>,
) -> Result<join_room_by_id::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let room = &call.body.room_id;
    asked!(services, call, room)
        .make(&call.caller.user_id, MembershipState::Join)
        .await?;
    Ok(join_room_by_id::v3::Response::new(room.clone()))
}

async fn join_by_alias(
    services: AppState,
    call: Call<join_room_by_id_or_alias::v3::Request>,
) -> Result<join_room_by_id_or_alias::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let room =
        rooms::aliases::resolve_room_or_alias(&services.rooms, &call.body.room_id_or_alias).await?;
    asked!(services, call, &room)
        .make(&call.caller.user_id, MembershipState::Join)
        .await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room))
}

async fn knock(
    services: AppState,
    call: Call<knock_room::v3::Request>,
) -> Result<knock_room::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let room =
        rooms::aliases::resolve_room_or_alias(&services.rooms, &call.body.room_id_or_alias).await?;
    asked!(services, call, &room)
        .make(&call.caller.user_id, MembershipState::Knock)
        .await?;
    Ok(knock_room::v3::Response::new(room))
}

async fn leave(
    services: AppState,
    call: Call<leave_room::v3::Request>,
) -> Result<leave_room::v3::Response> {
    asked!(services, call, &call.body.room_id)
        .make(&call.caller.user_id, MembershipState::Leave)
        .await?;
    Ok(leave_room::v3::Response::new())
}

async fn kick(
    services: AppState,
    call: Call<kick_user::v3::Request>,
) -> Result<kick_user::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let (room, user) = (&call.body.room_id, &call.body.user_id);
    check_sender(&services, &call.caller, room)?;
    rooms::membership::check_kickable(&services.rooms, room, user)?;
    asked!(services, call, room)
        .make(user, MembershipState::Leave)
        .await?;
    Ok(kick_user::v3::Response::new())
}

async fn ban(
    services: AppState,
    call: Call<ban_user::v3::Request>,
) -> Result<ban_user::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    asked!(services, call, &call.body.room_id)
        .make(&call.body.user_id, MembershipState::Ban)
        .await?;
    Ok(ban_user::v3::Response::new())
}

async fn unban(
    services: AppState,
    call: Call<unban_user::v3::Request>,
) -> Result<unban_user::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let (room, user) = (&call.body.room_id, &call.body.user_id);
    check_sender(&services, &call.caller, room)?;
    rooms::membership::check_banned(&services.rooms, room, user)?;
    asked!(services, call, room)
        .make(user, MembershipState::Leave)
        .await?;
    Ok(unban_user::v3::Response::new())
}

async fn forget(
    services: AppState,
    call: Call<forget_room::v3::Request>,
) -> Result<forget_room::v3::Response> {
    rooms::membership::forget(&services.rooms, &call.caller.user_id, &call.body.room_id).await?;
    Ok(forget_room::v3::Response::new())
}

/// Who is not in a room does not learn who is.
fn check_sender(services: &Services, caller: &Caller, room: &RoomId) -> Result<()> {
    if services.rooms.is_joined(room, &caller.user_id)? {
        return Ok(());
    }
    Err(Error::forbidden("You are not in this room"))
}
