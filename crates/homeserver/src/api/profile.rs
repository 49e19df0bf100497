//! Profiles. Everybody can read them; a change of name or avatar is told to the rooms that its owner is in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use ruma::{
    OwnedUserId, UserId,
    api::client::profile::{
        delete_profile_field, get_profile, get_profile_field, set_profile_field,
    },
    profile::ProfileFieldValue,
};

use crate::{
    accounts::profile,
    appservices,
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, membership},
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(all).add(get).add(set).add(delete)
}

async fn all(
    server: Server,
    call: Call<get_profile::v3::Request>,
) -> Result<get_profile::v3::Response> {
    known(&server, &call.body.user_id).await?;
    let fields = profile::all(&server.store, &call.body.user_id)?;
    Ok(fields.into_iter().collect())
}

async fn get(
    server: Server,
    call: Call<get_profile_field::v3::Request>,
) -> Result<get_profile_field::v3::Response> {
    known(&server, &call.body.user_id).await?;
    let field = call.body.field.as_str();
    let value = profile::get(&server.store, &call.body.user_id, field)?
        .ok_or_else(|| Error::not_found("This profile has no such field"))?;
    Ok(get_profile_field::v3::Response::new(
        ProfileFieldValue::new(field, value)?,
    ))
}

async fn set(
    server: Server,
    call: Call<set_profile_field::v3::Request>,
) -> Result<set_profile_field::v3::Response> {
    let owner = &call.body.user_id;
    may_change(&server, &call.caller, owner)?;
    let field = call.body.value.field_name();
    {
        // One change after the other: the size of the whole profile is looked at.
        let _turn = server.accounts.serial.of(owner).await;
        let mut batch = server.store.batch();
        let value = call.body.value.value();
        profile::set(&server.store, &mut batch, owner, field.as_str(), &value)?;
        server.store.commit(batch).await?;
    }
    tell_rooms(&server, owner, field.as_str()).await?;
    Ok(set_profile_field::v3::Response::new())
}

async fn delete(
    server: Server,
    call: Call<delete_profile_field::v3::Request>,
) -> Result<delete_profile_field::v3::Response> {
    let owner = &call.body.user_id;
    may_change(&server, &call.caller, owner)?;
    let mut batch = server.store.batch();
    profile::delete(&mut batch, owner, call.body.field.as_str())?;
    server.store.commit(batch).await?;
    tell_rooms(&server, owner, call.body.field.as_str()).await?;
    Ok(delete_profile_field::v3::Response::new())
}

async fn tell_rooms(server: &Server, owner: &UserId, field: &str) -> Result<()> {
    if field == profile::DISPLAY_NAME || field == profile::AVATAR_URL {
        membership::update_profiles(server, owner).await?;
    }
    Ok(())
}

/// 404 if there is nobody with this id. Users of application services need no account to have a profile, and may be made when
/// somebody looks at them.
async fn known(server: &Server, user: &OwnedUserId) -> Result<()> {
    if !is_there(server, user)? {
        appservices::introduce(server, None, std::slice::from_ref(user)).await?;
        if !is_there(server, user)? {
            return Err(Error::not_found("There is no such user"));
        }
    }
    Ok(())
}

fn is_there(server: &Server, user: &UserId) -> Result<bool> {
    Ok(match server.accounts.get(user)? {
        Some(account) => !account.deactivated,
        None => !profile::all(&server.store, user)?.is_empty(),
    })
}

fn may_change(server: &Server, caller: &Caller, owner: &UserId) -> Result<()> {
    let own = &server.config.server_name;
    let may = caller.user_id == owner
        || caller
            .appservice
            .as_ref()
            .is_some_and(|appservice| appservice.may_act_as(owner, own));
    if may {
        return rooms::may_act(server, caller);
    }
    Err(Error::forbidden("Everybody changes their own profile only"))
}
