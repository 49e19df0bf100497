//! Profiles. Everybody can read them; a change of name or avatar is told to the rooms that its owner is in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use http::StatusCode;
use ruma::{
    OwnedUserId, UserId,
    api::{
        client::profile::{
            delete_profile_field, get_profile, get_profile_field, set_profile_field,
        },
        error::ErrorKind,
    },
    profile::{ProfileFieldName, ProfileFieldValue},
};

use crate::{
    accounts::{profile, query_missing_users},
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    rooms,
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(all).add(get).add(set).add(delete)
}

async fn all(
    services: AppState,
    call: Call<get_profile::v3::Request>,
) -> Result<get_profile::v3::Response> {
    known(&services, &call.body.user_id).await?;
    let fields = profile::all(&services.store, &call.body.user_id)?;
    Ok(fields.into_iter().collect())
}

async fn get(
    services: AppState,
    call: Call<get_profile_field::v3::Request>,
) -> Result<get_profile_field::v3::Response> {
    known(&services, &call.body.user_id).await?;
    let field = call.body.field.as_str();
    let value = profile::get(&services.store, &call.body.user_id, field)?
        .ok_or_else(|| Error::not_found("This profile has no such field"))?;
    Ok(get_profile_field::v3::Response::new(
        ProfileFieldValue::new(field, value)?,
    ))
}

async fn set(
    services: AppState,
    call: Call<set_profile_field::v3::Request>,
) -> Result<set_profile_field::v3::Response> {
    let owner = &call.body.user_id;
    may_change(&services, &call.caller, owner)?;
    let field = call.body.value.field_name();
    // The route is one for all fields, so the list of what guests may call cannot say which.
    if call.caller.guest && field != ProfileFieldName::DisplayName {
        return Err(Error::refused(
            StatusCode::FORBIDDEN,
            ErrorKind::GuestAccessForbidden,
            "Guests may only set their display name: register an account",
        ));
    }
    {
        // One change after the other: the size of the whole profile is looked at.
        let _turn = services.accounts.user_locks.lock(owner).await;
        let mut batch = services.store.batch();
        let value = call.body.value.value();
        profile::set(&services.store, &mut batch, owner, field.as_str(), &value)?;
        services.store.commit(batch).await?;
    }
    services
        .operations
        .profile_changed(owner, field.as_str())
        .await?;
    Ok(set_profile_field::v3::Response::new())
}

async fn delete(
    services: AppState,
    call: Call<delete_profile_field::v3::Request>,
) -> Result<delete_profile_field::v3::Response> {
    let owner = &call.body.user_id;
    may_change(&services, &call.caller, owner)?;
    let mut batch = services.store.batch();
    profile::delete(&mut batch, owner, call.body.field.as_str())?;
    services.store.commit(batch).await?;
    services
        .operations
        .profile_changed(owner, call.body.field.as_str())
        .await?;
    Ok(delete_profile_field::v3::Response::new())
}

/// 404 if there is nobody with this id. Users of application services need no account to have a profile, and may be made when
/// somebody looks at them.
async fn known(services: &Services, user: &OwnedUserId) -> Result<()> {
    if !is_there(services, user)? {
        query_missing_users(
            &services.accounts,
            &services.appservices,
            None,
            std::slice::from_ref(user),
        )
        .await?;
        if !is_there(services, user)? {
            return Err(Error::not_found("There is no such user"));
        }
    }
    Ok(())
}

fn is_there(services: &Services, user: &UserId) -> Result<bool> {
    Ok(match services.accounts.get(user)? {
        Some(account) => !account.deactivated,
        None => !profile::all(&services.store, user)?.is_empty(),
    })
}

fn may_change(services: &Services, caller: &Caller, owner: &UserId) -> Result<()> {
    let own = &services.config.server_name;
    let may = caller.user_id == owner
        || caller
            .appservice
            .as_ref()
            .is_some_and(|appservice| appservice.may_act_as(owner, own));
    if may {
        return rooms::check_not_suspended(&services.rooms, caller);
    }
    Err(Error::forbidden("Everybody changes their own profile only"))
}
