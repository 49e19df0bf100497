//! Account data, global and for rooms.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use http::{Method, StatusCode};
use ruma::{
    RoomId, UserId,
    api::{
        client::config::{
            get_global_account_data, get_room_account_data, set_global_account_data,
            set_room_account_data,
        },
        error::ErrorKind,
    },
    serde::Raw,
};
use serde_json::{json, value::RawValue};

use super::{
    untyped::Json,
    untyped_request::{Endpoint, UntypedRequest},
};
use crate::{
    accounts::account_data,
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    limits::{ACCOUNT_DATA_TYPE_MAX_BYTES, ACCOUNT_DATUM_MAX_BYTES},
    rooms::receipts::FULLY_READ,
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(get_global)
        .add(set_global)
        .add(get_room)
        .add(set_room)
        .add(delete_global)
        .add(delete_room)
}

/// 403 if somebody else's data are meant.
pub(super) fn check_own_user(caller: &Caller, user: &UserId) -> Result<()> {
    if caller.user_id == user {
        return Ok(());
    }
    Err(Error::forbidden("These are the data of another user"))
}

fn load(
    services: &Services,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Box<RawValue>> {
    account_data::get_or_default(&services.store, user, room, kind)?
        .map(|datum| datum.content)
        .ok_or_else(|| Error::not_found("There is no account data of this type"))
}

/// Refuses to change what the server itself writes.
fn check_not_servers(kind: &str) -> Result<()> {
    if kind == FULLY_READ || kind == account_data::PUSH_RULES {
        return Err(Error::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::BadJson,
            format!("{kind} has an endpoint of its own"),
        ));
    }
    Ok(())
}

async fn save(
    services: &Services,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: &RawValue,
) -> Result<()> {
    check_not_servers(kind)?;
    if !content.get().trim_start().starts_with('{') {
        return Err(Error::bad_json("Account data is a JSON object"));
    }
    if content.get().len() > ACCOUNT_DATUM_MAX_BYTES || kind.len() > ACCOUNT_DATA_TYPE_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Account data too large (max {ACCOUNT_DATUM_MAX_BYTES} bytes, type max {ACCOUNT_DATA_TYPE_MAX_BYTES} bytes)"
        )));
    }
    let _turn = services.accounts.user_locks.lock(user).await;
    account_data::check(&services.store, user, room, kind, content)?;
    let content = content.to_owned();
    account_data::set(&services.store, &services.stream, user, room, kind, content).await?;
    Ok(())
}

async fn get_global(
    services: AppState,
    call: Call<get_global_account_data::v3::Request>,
) -> Result<get_global_account_data::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    let kind = request.event_type.to_string();
    let content = load(&services, &request.user_id, None, &kind)?;
    Ok(get_global_account_data::v3::Response::new(Raw::from_json(
        content,
    )))
}

async fn set_global(
    services: AppState,
    call: Call<set_global_account_data::v3::Request>,
) -> Result<set_global_account_data::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    let kind = request.event_type.to_string();
    save(
        &services,
        &request.user_id,
        None,
        &kind,
        request.data.json(),
    )
    .await?;
    Ok(set_global_account_data::v3::Response::new())
}

async fn get_room(
    services: AppState,
    call: Call<get_room_account_data::v3::Request>,
) -> Result<get_room_account_data::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    let kind = request.event_type.to_string();
    let content = load(&services, &request.user_id, Some(&request.room_id), &kind)?;
    Ok(get_room_account_data::v3::Response::new(Raw::from_json(
        content,
    )))
}

async fn set_room(
    services: AppState,
    call: Call<set_room_account_data::v3::Request>,
) -> Result<set_room_account_data::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    let (kind, room) = (request.event_type.to_string(), Some(&*request.room_id));
    save(
        &services,
        &request.user_id,
        room,
        &kind,
        request.data.json(),
    )
    .await?;
    Ok(set_room_account_data::v3::Response::new())
}

/// Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/3391>
#[derive(Debug)]
struct DeleteGlobal;

impl Endpoint for DeleteGlobal {
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str =
        "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{event_type}";
}

/// The same for a room.
#[derive(Debug)]
struct DeleteRoom;

impl Endpoint for DeleteRoom {
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str = "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{event_type}";
}

async fn delete_global(
    services: AppState,
    call: Call<UntypedRequest<DeleteGlobal>>,
) -> Result<Json> {
    let [user, kind] = call.body.path_args()?;
    delete(&services, &call.caller, &user, None, &kind).await
}

async fn delete_room(services: AppState, call: Call<UntypedRequest<DeleteRoom>>) -> Result<Json> {
    let [user, room, kind] = call.body.path_args()?;
    let room = RoomId::parse(room).map_err(|error| Error::invalid(error.to_string()))?;
    delete(&services, &call.caller, &user, Some(&room), &kind).await
}

async fn delete(
    services: &Services,
    caller: &Caller,
    user: &str,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Json> {
    let user = UserId::parse(user).map_err(|error| Error::invalid(error.to_string()))?;
    check_own_user(caller, &user)?;
    check_not_servers(kind)?;
    let _turn = services.accounts.user_locks.lock(&user).await;
    account_data::delete(&services.store, &services.stream, &user, room, kind).await?;
    Ok(Json(json!({})))
}
