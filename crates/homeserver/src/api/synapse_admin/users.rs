//! Accounts: a page of all of them, one, made or changed, ended, with a new password.

use http::StatusCode;
use ruma::{OwnedUserId, UserId, api::error::ErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, body, check_admin, endpoint, flag, is_found, local_user};
use crate::{
    accounts::{HashRequester, identity, profile, record::Account},
    api::{
        untyped::Json, untyped_request::UntypedRequest, with_response::WithResponse,
        with_status::WithStatus,
    },
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    operations::deactivate::SentContent,
    rooms::admin_room,
    services::{AppState, Services},
    store::tables,
};

endpoint!(List, GET, "v2/users");
endpoint!(Get, GET, "v2/users/{user_id}");
endpoint!(Put, PUT, "v2/users/{user_id}");
endpoint!(Deactivate, POST, "v1/deactivate/{user_id}");
endpoint!(ResetPassword, POST, "v1/reset_password/{user_id}");

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(list)
        .add(get)
        .add(put)
        .add(deactivate)
        .add(reset_password)
}

async fn list(services: AppState, call: Call<UntypedRequest<List>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let page = Page::of(&call.facts)?;
    let term = call.facts.query_value("name");
    let term = term.or_else(|| call.facts.query_value("user_id"));
    let (guests, deactivated) = (
        flag(&call.facts, "guests", true),
        flag(&call.facts, "deactivated", false),
    );
    let mut users = Vec::new();
    for row in services.store.scan::<tables::Accounts>(()) {
        let ((user,), account) = row?;
        if user.localpart() == identity::SERVER_USER
            || (account.guest && !guests)
            || (account.deactivated && !deactivated)
        {
            continue;
        }
        let name = profile::display_name(&services.store, &user)?.unwrap_or_default();
        if is_found(term.as_ref(), &[user.localpart(), &name]) {
            users.push((user, account));
        }
    }
    users.sort_by(|(one, _), (other, _)| one.cmp(other));
    if call.facts.query_value("dir").as_deref() == Some("b") {
        users.reverse();
    }
    let total = users.len();
    let (users, next) = page.cut(users);
    let shown = users
        .into_iter()
        .map(|(user, account)| shown(&services, &user, &account));
    let shown = shown.collect::<Result<Vec<_>>>()?;
    let mut answer = json!({ "users": shown, "total": total });
    if let Some(next) = next {
        answer["next_token"] = next.to_string().into();
    }
    Ok(Json(answer))
}

fn shown(services: &Services, user: &UserId, account: &Account) -> Result<Value> {
    let devices = services.accounts.devices(user)?;
    let seen = devices
        .into_iter()
        .filter_map(|(_, device)| device.last_seen);
    Ok(json!({
        "name": user,
        "displayname": profile::display_name(&services.store, user)?,
        "avatar_url": profile::avatar_url(&services.store, user)?,
        "is_guest": account.guest,
        "admin": admin_room::is_admin(&services.rooms, user)?,
        "deactivated": account.deactivated,
        "locked": account.locked,
        "suspended": account.suspended,
        "erased": services.store.contains::<tables::ErasedUsers>((user,))?,
        "shadow_banned": false,
        "user_type": null,
        "appservice_id": account.appservice,
        "threepids": [],
        "external_ids": [],
        "creation_ts": account.created,
        "last_seen_ts": seen.max(),
    }))
}

fn existing(services: &Services, user: &UserId) -> Result<Account> {
    let account = services.accounts.get(user)?;
    account.ok_or_else(|| Error::not_found("User not found"))
}

async fn get(services: AppState, call: Call<UntypedRequest<Get>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let [user] = call.body.path_args()?;
    let user = local_user(&services, &user)?;
    let account = existing(&services, &user)?;
    Ok(Json(shown(&services, &user, &account)?))
}

/// What an account is to be. What is not named stays as it is.
#[derive(Deserialize)]
struct Wish {
    password: Option<String>,
    logout_devices: Option<bool>,
    displayname: Option<String>,
    avatar_url: Option<String>,
    admin: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
}

/// Makes an account (201) or changes it. All that cannot be done is refused before anything is.
async fn put(
    services: AppState,
    call: Call<WithResponse<UntypedRequest<Put>, WithStatus<Json>>>,
) -> Result<WithStatus<Json>> {
    check_admin(&services, &call.caller)?;
    let [user] = call.body.request.path_args()?;
    let user = local_user(&services, &user)?;
    let wish: Wish = body(&call.facts)?;
    let account = services.accounts.get(&user)?;
    check(&services, &call.caller, &user, account.as_ref(), &wish)?;
    let status = if account.is_none() {
        make(&services, &user, wish.password.as_deref()).await?;
        StatusCode::CREATED
    } else {
        if let Some(password) = &wish.password {
            set_password(&services, &user, password, wish.logout_devices).await?;
        }
        StatusCode::OK
    };
    for (field, value) in [
        (profile::DISPLAY_NAME, wish.displayname),
        (profile::AVATAR_URL, wish.avatar_url),
    ] {
        if let Some(value) = value {
            set_field(&services, &user, field, value).await?;
        }
    }
    if let Some(locked) = wish.locked {
        services.accounts.set_locked(&user, locked).await?;
    }
    if wish.admin == Some(true) && !admin_room::is_admin(&services.rooms, &user)? {
        services.operations.make_admin(&user).await?;
    }
    if wish.deactivated == Some(true) && !existing(&services, &user)?.deactivated {
        let ended = services
            .operations
            .deactivate(&user, SentContent::Kept, None);
        ended.await?;
    }
    let account = existing(&services, &user)?;
    Ok(WithStatus(status, Json(shown(&services, &user, &account)?)))
}

fn check(
    services: &Services,
    caller: &Caller,
    user: &OwnedUserId,
    account: Option<&Account>,
    wish: &Wish,
) -> Result<()> {
    let is_admin = admin_room::is_admin(&services.rooms, user)?;
    let is_own = user.localpart() == identity::SERVER_USER;
    let is_ended = account.is_some_and(|account| account.deactivated);
    let refuse = |reason: &str| Err(Error::invalid(reason));
    if is_own {
        return refuse("Not allowed for the server's own account");
    }
    if is_ended && wish.deactivated != Some(true) {
        return refuse("An account that is deactivated stays so");
    }
    if is_admin && wish.admin == Some(false) {
        return refuse("Admins are those in the admin room: remove them from it");
    }
    if is_admin && wish.locked == Some(true) {
        return refuse("Admins are not locked");
    }
    if caller.user_id == *user && wish.deactivated == Some(true) {
        return refuse("Deactivate your own account in your client");
    }
    if wish.admin == Some(true) && admin_room::room(&services.rooms)?.is_none() {
        return refuse("Admins are those in the admin room, and there is none");
    }
    Ok(())
}

async fn make(services: &Services, user: &UserId, password: Option<&str>) -> Result<()> {
    if services.appservices.exclusive_owner(user).is_some() {
        return Err(Error::bad_request(
            ErrorKind::Exclusive,
            "Username is reserved by an appservice.",
        ));
    }
    let made = services
        .operations
        .create_account(user.localpart(), password);
    made.await.map(drop)
}

async fn set_field(services: &Services, user: &UserId, field: &str, value: String) -> Result<()> {
    {
        let _turn = services.accounts.user_locks.lock(user).await;
        let mut batch = services.store.batch();
        profile::set(&services.store, &mut batch, user, field, &value.into())?;
        services.store.commit(batch).await?;
    }
    services.operations.profile_changed(user, field).await
}

async fn set_password(
    services: &Services,
    user: &UserId,
    password: &str,
    logs_out: Option<bool>,
) -> Result<()> {
    let set = services
        .accounts
        .set_password(user, password, &HashRequester::Admin, None);
    set.await?;
    if logs_out.unwrap_or(true) {
        services.operations.delete_other_devices(user, None).await?;
    }
    Ok(())
}

async fn deactivate(services: AppState, call: Call<UntypedRequest<Deactivate>>) -> Result<Json> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default)]
        erase: bool,
    }
    check_admin(&services, &call.caller)?;
    let [user] = call.body.path_args()?;
    let user = local_user(&services, &user)?;
    if user.localpart() == identity::SERVER_USER || user == call.caller.user_id {
        return Err(Error::invalid("This account is not deactivated so"));
    }
    let asked: Asked = body(&call.facts)?;
    let content = if asked.erase {
        SentContent::Erased
    } else {
        SentContent::Kept
    };
    services.operations.deactivate(&user, content, None).await?;
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

async fn reset_password(
    services: AppState,
    call: Call<UntypedRequest<ResetPassword>>,
) -> Result<Json> {
    #[derive(Deserialize)]
    struct Asked {
        new_password: String,
        logout_devices: Option<bool>,
    }
    check_admin(&services, &call.caller)?;
    let [user] = call.body.path_args()?;
    let user = local_user(&services, &user)?;
    if user.localpart() == identity::SERVER_USER {
        return Err(Error::invalid("Not allowed for the server's own account"));
    }
    let asked: Asked = body(&call.facts)?;
    set_password(&services, &user, &asked.new_password, asked.logout_devices).await?;
    Ok(Json(json!({})))
}
