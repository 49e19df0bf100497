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
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create).add(get).add(delete).add(list)
}

async fn create(
    server: Server,
    call: Call<create_alias::v3::Request>,
) -> Result<create_alias::v3::Response> {
    let (alias, room) = (call.body.room_alias, call.body.room_id);
    rooms::may_act(&server, &call.caller)?;
    let lock = server.aliases.lock([alias.clone()]).await;
    rooms::aliases::check_free(&server, &call.caller, &alias, StatusCode::CONFLICT)?;
    if !server.rooms.exists(&room)? {
        return Err(unknown_room());
    }
    rooms::aliases::check_count(&server, &room)?;
    let mut batch = server.store.batch();
    rooms::aliases::put(&mut batch, &alias, &room, &call.caller.user_id)?;
    server.store.commit(batch).await?;
    drop(lock);
    Ok(create_alias::v3::Response::new())
}

async fn get(
    server: Server,
    call: Call<get_alias::v3::Request>,
) -> Result<get_alias::v3::Response> {
    let room = rooms::aliases::resolve(&server, &call.body.room_alias).await?;
    let servers = vec![server.config.server_name.clone()];
    Ok(get_alias::v3::Response::new(room, servers))
}

async fn delete(
    server: Server,
    call: Call<delete_alias::v3::Request>,
) -> Result<delete_alias::v3::Response> {
    rooms::aliases::remove(&server, &call.caller, &call.body.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}

async fn list(server: Server, call: Call<aliases::v3::Request>) -> Result<aliases::v3::Response> {
    let room = &call.body.room_id;
    // Aliases have no history: who has left may not know today's.
    if !rooms::may_read(&server.rooms, &call.caller.user_id, room)?.is_current() {
        return Err(Error::forbidden("You are not in this room"));
    }
    let aliases = rooms::aliases::of_room(&server, room)?;
    Ok(aliases::v3::Response::new(aliases))
}
