//! Account data, global and for rooms.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use http::StatusCode;
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
use serde_json::value::RawValue;

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

async fn save(
    services: &Services,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: &RawValue,
) -> Result<()> {
    if kind == FULLY_READ || kind == account_data::PUSH_RULES {
        return Err(Error::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::BadJson,
            format!("{kind} has an endpoint of its own"),
        ));
    }
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
