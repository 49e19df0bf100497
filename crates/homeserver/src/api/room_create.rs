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
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create)
}

async fn create(
    server: Server,
    call: Call<create_room::v3::Request>,
) -> Result<create_room::v3::Response> {
    rooms::may_act(&server, &call.caller)?;
    may_create(&server, &call.caller)?;
    count(&server, &call.caller, Rate::Invites, call.body.invite.len())?;
    let room = rooms::create::create(&server, &call.caller, call.body).await?;
    Ok(create_room::v3::Response::new(room))
}

fn may_create(server: &Server, caller: &Caller) -> Result<()> {
    if caller.guest {
        return Err(Error::refused(
            StatusCode::FORBIDDEN,
            ErrorKind::GuestAccessForbidden,
            "Guests make no rooms",
        ));
    }
    let open = server.config.rooms.allow_room_creation;
    if open || caller.appservice.is_some() || is_admin(server, caller)? {
        return Ok(());
    }
    Err(Error::forbidden("Only admins make rooms on this server"))
}

/// Admins are those who are in the admin room.
fn is_admin(server: &Server, caller: &Caller) -> Result<bool> {
    let alias = RoomAliasId::parse(format!("#admins:{}", server.config.server_name))
        .map_err(|error| Error::Broken(format!("an alias of our own: {error}")))?;
    let record = server
        .store
        .get::<crate::store::tables::Aliases>((&*alias,))?;
    match record {
        Some(record) => server.rooms.is_joined(&record.room_id, &caller.user_id),
        None => Ok(false),
    }
}
