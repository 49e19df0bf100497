//! Room aliases. Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use http::StatusCode;
use ruma::api::client::{
    alias::{create_alias, delete_alias, get_alias},
    room::aliases,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, unknown_room},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create).add(get).add(delete).add(list)
}

async fn create(
    services: AppState,
    call: Call<create_alias::v3::Request>,
) -> Result<create_alias::v3::Response> {
    let (alias, room) = (call.body.room_alias, call.body.room_id);
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let lock = services.rooms.aliases.lock([alias.clone()]).await;
    rooms::aliases::check_free(&services.rooms, &call.caller, &alias, StatusCode::CONFLICT)?;
    if !services.rooms.exists(&room)? {
        return Err(unknown_room());
    }
    rooms::aliases::check_count(&services.rooms, &room)?;
    let mut batch = services.store.batch();
    rooms::aliases::put(&mut batch, &alias, &room, &call.caller.user_id)?;
    services.store.commit(batch).await?;
    drop(lock);
    Ok(create_alias::v3::Response::new())
}

async fn get(
    services: AppState,
    call: Call<get_alias::v3::Request>,
) -> Result<get_alias::v3::Response> {
    let room = rooms::aliases::resolve_alias(&services.rooms, &call.body.room_alias).await?;
    let servers = vec![services.config.server_name.clone()];
    Ok(get_alias::v3::Response::new(room, servers))
}

async fn delete(
    services: AppState,
    call: Call<delete_alias::v3::Request>,
) -> Result<delete_alias::v3::Response> {
    rooms::aliases::remove(&services.rooms, &call.caller, &call.body.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}

async fn list(
    services: AppState,
    call: Call<aliases::v3::Request>,
) -> Result<aliases::v3::Response> {
    let room = &call.body.room_id;
    // Aliases have no history: who has left may not know today's.
    if !rooms::readable_state(&services.rooms, &call.caller.user_id, room)?.is_current() {
        return Err(Error::forbidden("You are not in this room"));
    }
    let aliases = rooms::aliases::of_room(&services.rooms, room)?;
    Ok(aliases::v3::Response::new(aliases))
}
