//! Making rooms. Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

use http::StatusCode;
use ruma::{
    RoomAliasId,
    api::{client::room::create_room, error::ErrorKind},
};

use crate::{
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes, count},
    limits::Rate,
    rooms,
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create)
}

async fn create(
    services: AppState,
    call: Call<create_room::v3::Request>,
) -> Result<create_room::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    may_create(&services, &call.caller)?;
    count(
        &services,
        &call.caller,
        Rate::Invites,
        call.body.invite.len(),
    )?;
    let direct_with = if call.body.is_direct {
        call.body.invite.clone()
    } else {
        Vec::new()
    };
    let room = rooms::create::create(&services.rooms, &call.caller, call.body).await?;
    let sender = &call.caller.user_id;
    let marked = services
        .operations
        .mark_direct_for_joined(sender, &direct_with, &room);
    if let Err(error) = marked.await {
        tracing::warn!(%error, room.id = %room, "could not mark a direct chat");
    }
    Ok(create_room::v3::Response::new(room))
}

fn may_create(services: &Services, caller: &Caller) -> Result<()> {
    if caller.guest {
        return Err(Error::refused(
            StatusCode::FORBIDDEN,
            ErrorKind::GuestAccessForbidden,
            "Guests make no rooms",
        ));
    }
    let open = services.config.rooms.allow_room_creation;
    if open || caller.appservice.is_some() || is_admin(services, caller)? {
        return Ok(());
    }
    Err(Error::forbidden("Only admins make rooms on this server"))
}

/// Admins are those who are in the admin room.
fn is_admin(services: &Services, caller: &Caller) -> Result<bool> {
    let alias = RoomAliasId::parse(format!("#admins:{}", services.config.server_name))
        .map_err(|error| Error::Broken(format!("an alias of our own: {error}")))?;
    let record = services
        .store
        .get::<crate::store::tables::Aliases>((&*alias,))?;
    match record {
        Some(record) => services.rooms.is_joined(&record.room_id, &caller.user_id),
        None => Ok(false),
    }
}
