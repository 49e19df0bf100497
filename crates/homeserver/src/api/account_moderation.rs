//! Admins suspend and lock accounts.
//!
//! Who is no admin learns nothing, not even who has an account. Admins are not moderated: they would end each other's rights.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-administration>

use ruma::{
    UserId,
    api::client::admin::{is_user_locked, is_user_suspended, lock_user, suspend_user},
};

use crate::{
    accounts::record::Account,
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    rooms::admin_room,
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(is_suspended)
        .add(suspend)
        .add(is_locked)
        .add(lock)
}

/// The account that an admin asks about.
fn account_of(services: &Services, caller: &Caller, user: &UserId) -> Result<Account> {
    if !admin_room::is_admin(&services.rooms, &caller.user_id)? {
        return Err(Error::forbidden("Only admins may do this"));
    }
    if user.server_name() != services.config.server_name {
        return Err(Error::invalid("This user is not of this server"));
    }
    let account = services.accounts.get(user)?;
    account
        .filter(|account| !account.deactivated)
        .ok_or_else(|| Error::not_found("There is no such user"))
}

fn may_moderate(services: &Services, caller: &Caller, user: &UserId) -> Result<()> {
    account_of(services, caller, user)?;
    if admin_room::is_admin(&services.rooms, user)? {
        return Err(Error::forbidden("Admins are neither suspended nor locked"));
    }
    Ok(())
}

async fn is_suspended(
    services: AppState,
    call: Call<is_user_suspended::v1::Request>,
) -> Result<is_user_suspended::v1::Response> {
    let account = account_of(&services, &call.caller, &call.body.user_id)?;
    Ok(is_user_suspended::v1::Response::new(account.suspended))
}

async fn suspend(
    services: AppState,
    call: Call<suspend_user::v1::Request>,
) -> Result<suspend_user::v1::Response> {
    let (user, suspended) = (&call.body.user_id, call.body.suspended);
    may_moderate(&services, &call.caller, user)?;
    services.accounts.set_suspended(user, suspended).await?;
    Ok(suspend_user::v1::Response::new(suspended))
}

async fn is_locked(
    services: AppState,
    call: Call<is_user_locked::v1::Request>,
) -> Result<is_user_locked::v1::Response> {
    let account = account_of(&services, &call.caller, &call.body.user_id)?;
    Ok(is_user_locked::v1::Response::new(account.locked))
}

async fn lock(
    services: AppState,
    call: Call<lock_user::v1::Request>,
) -> Result<lock_user::v1::Response> {
    let (user, locked) = (&call.body.user_id, call.body.locked);
    may_moderate(&services, &call.caller, user)?;
    services.accounts.set_locked(user, locked).await?;
    Ok(lock_user::v1::Response::new(locked))
}
