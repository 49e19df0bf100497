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
    admin,
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(is_suspended)
        .add(suspend)
        .add(is_locked)
        .add(lock)
}

/// The account that an admin asks about.
fn account_of(server: &Server, caller: &Caller, user: &UserId) -> Result<Account> {
    if !admin::is_admin(server, &caller.user_id)? {
        return Err(Error::forbidden("Only admins may do this"));
    }
    if user.server_name() != server.config.server_name {
        return Err(Error::invalid("This user is not of this server"));
    }
    let account = server.accounts.get(user)?;
    account
        .filter(|account| !account.deactivated)
        .ok_or_else(|| Error::not_found("There is no such user"))
}

fn may_moderate(server: &Server, caller: &Caller, user: &UserId) -> Result<()> {
    account_of(server, caller, user)?;
    if admin::is_admin(server, user)? {
        return Err(Error::forbidden("Admins are neither suspended nor locked"));
    }
    Ok(())
}

async fn is_suspended(
    server: Server,
    call: Call<is_user_suspended::v1::Request>,
) -> Result<is_user_suspended::v1::Response> {
    let account = account_of(&server, &call.caller, &call.body.user_id)?;
    Ok(is_user_suspended::v1::Response::new(account.suspended))
}

async fn suspend(
    server: Server,
    call: Call<suspend_user::v1::Request>,
) -> Result<suspend_user::v1::Response> {
    let (user, suspended) = (&call.body.user_id, call.body.suspended);
    may_moderate(&server, &call.caller, user)?;
    server.accounts.set_suspended(user, suspended).await?;
    Ok(suspend_user::v1::Response::new(suspended))
}

async fn is_locked(
    server: Server,
    call: Call<is_user_locked::v1::Request>,
) -> Result<is_user_locked::v1::Response> {
    let account = account_of(&server, &call.caller, &call.body.user_id)?;
    Ok(is_user_locked::v1::Response::new(account.locked))
}

async fn lock(
    server: Server,
    call: Call<lock_user::v1::Request>,
) -> Result<lock_user::v1::Response> {
    let (user, locked) = (&call.body.user_id, call.body.locked);
    may_moderate(&server, &call.caller, user)?;
    server.accounts.set_locked(user, locked).await?;
    Ok(lock_user::v1::Response::new(locked))
}
