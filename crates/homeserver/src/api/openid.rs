//! Proving to a third party, such as a widget or a relay for calls, who one is.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>

use http::StatusCode;
use ruma::{
    api::{
        client::account::request_openid_token, error::ErrorKind,
        federation::openid::get_openid_userinfo,
    },
    authentication::TokenType,
};

use crate::{
    accounts::record::ShortTokenUse,
    error::{Error, Result},
    http::{Call, Routes},
    limits::OPENID_TOKEN_LIFE,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(request_token).add(user_info)
}

async fn request_token(
    services: AppState,
    call: Call<request_openid_token::v3::Request>,
) -> Result<request_openid_token::v3::Response> {
    let user = &call.caller.user_id;
    if *user != call.body.user_id {
        return Err(Error::forbidden(
            "Everybody proves only who they are themselves",
        ));
    }
    let token = services
        .accounts
        .issue_short_token(
            user,
            call.caller.device_id.as_deref(),
            ShortTokenUse::OpenId,
            None,
        )
        .await?;
    Ok(request_openid_token::v3::Response::new(
        token,
        TokenType::Bearer,
        services.config.server_name.clone(),
        OPENID_TOKEN_LIFE,
    ))
}

async fn user_info(
    services: AppState,
    call: Call<get_openid_userinfo::v1::Request>,
) -> Result<get_openid_userinfo::v1::Response> {
    let accounts = &services.accounts;
    let look = async { accounts.openid_user(&services.appservices, &call.body.access_token) };
    let user = accounts.limit_guesses(&call.facts, look).await?;
    let user = user.ok_or_else(|| {
        Error::refused(
            StatusCode::UNAUTHORIZED,
            ErrorKind::Unauthorized,
            "This token is not known or has ended",
        )
    })?;
    Ok(get_openid_userinfo::v1::Response::new(user))
}
