//! A session after the login: refreshed, ended, asked for, and handed on to another device.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-authentication>

use ruma::api::client::{
    account::whoami,
    session::{get_login_token, logout, logout_all, refresh_token},
};

use crate::{
    accounts::{record::ShortTokenUse, uia},
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    limits::LOGIN_TOKEN_LIFE,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(refresh)
        .add(end)
        .add(end_all)
        .add(who)
        .add(login_token)
}

async fn refresh(
    services: AppState,
    call: Call<refresh_token::v3::Request>,
) -> Result<refresh_token::v3::Response> {
    let login = &services.config.login;
    let issued = services
        .accounts
        .refresh(&services.appservices, &call.body.refresh_token, login)
        .await?;
    let mut response = refresh_token::v3::Response::new(issued.access_token);
    response.refresh_token = issued.refresh_token;
    response.expires_in_ms = issued.expires_in;
    Ok(response)
}

async fn end(services: AppState, call: Call<logout::v3::Request>) -> Result<logout::v3::Response> {
    // An application service acts without a session: there is nothing to end unless it names a device.
    if let Some(device) = call.caller.device_id {
        services
            .operations
            .delete_devices(&call.caller.user_id, &[device], None)
            .await?;
    }
    Ok(logout::v3::Response::new())
}

async fn end_all(
    services: AppState,
    call: Call<logout_all::v3::Request>,
) -> Result<logout_all::v3::Response> {
    let user = &call.caller.user_id;
    services.operations.delete_other_devices(user, None).await?;
    Ok(logout_all::v3::Response::new())
}

async fn who(_: AppState, call: Call<whoami::v3::Request>) -> Result<whoami::v3::Response> {
    let caller = call.caller;
    let mut response = whoami::v3::Response::new(caller.user_id, caller.guest);
    response.device_id = caller.device_id;
    Ok(response)
}

async fn login_token(
    services: AppState,
    call: Call<get_login_token::v1::Request>,
) -> Result<get_login_token::v1::Response> {
    let caller: &Caller = &call.caller;
    if caller.guest || caller.appservice.is_some() {
        return Err(Error::forbidden(
            "Only people with an account log in on other devices",
        ));
    }
    let shown = uia::authorize(
        &services.accounts,
        caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await?;
    let accounts = &services.accounts;
    let token = accounts
        .issue_short_token(
            &caller.user_id,
            caller.device_id.as_deref(),
            ShortTokenUse::Login,
            shown.as_ref(),
        )
        .await?;
    Ok(get_login_token::v1::Response::new(LOGIN_TOKEN_LIFE, token))
}
