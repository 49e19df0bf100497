//! Logging in: with a password, with a token of another device, and as a user of an application service.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#login>

use http::StatusCode;
use ruma::{
    OwnedUserId,
    api::{
        client::{
            session::{
                get_login_types::{
                    self,
                    v3::{
                        ApplicationServiceLoginType, LoginType, PasswordLoginType, TokenLoginType,
                    },
                },
                login::{
                    self,
                    v3::{ApplicationService, DiscoveryInfo, HomeserverInfo, LoginInfo, Password},
                },
            },
            uiaa::UserIdentifier,
        },
        error::ErrorKind,
    },
};

use crate::{
    accounts::{
        credential::{Credential, ProvenPassword},
        devices::manages_devices,
        identity,
        moderation::{user_deactivated_error, user_locked_error},
        tokens::LoginOptions,
    },
    error::{Error, Result},
    http::{Call, Routes},
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(types).add(login)
}

async fn types(
    services: AppState,
    _: Call<get_login_types::v3::Request>,
) -> Result<get_login_types::v3::Response> {
    let mut token = TokenLoginType::new();
    token.get_login_token = services.config.login.login_with_password;
    let mut flows = Vec::new();
    if services.config.login.login_with_password {
        flows.push(LoginType::Password(PasswordLoginType::new()));
    }
    flows.push(LoginType::Token(token));
    flows.push(LoginType::ApplicationService(
        ApplicationServiceLoginType::new(),
    ));
    Ok(get_login_types::v3::Response::new(flows))
}

async fn login(services: AppState, call: Call<login::v3::Request>) -> Result<login::v3::Response> {
    let (user, credential) = match &call.body.login_info {
        LoginInfo::Password(shown) => {
            let (user, proven) = by_password(&services, &call, shown).await?;
            (user, Credential::Password(proven))
        }
        LoginInfo::Token(shown) => {
            let accounts = &services.accounts;
            let look = async { accounts.login_token_user(&shown.token) };
            let user = accounts.limit_guesses(&call.facts, look).await?;
            let user = user.ok_or_else(|| Error::forbidden("This login token is not valid"))?;
            (user, Credential::LoginToken(shown.token.clone()))
        }
        LoginInfo::ApplicationService(named) => by_appservice(&services, &call, named)?,
        _ => {
            return Err(Error::bad_request(
                ErrorKind::Unknown,
                "This server knows no such way to log in",
            ));
        }
    };
    may_log_in(&services, &user, call.caller.is_some())?;
    let wish = LoginOptions {
        device_id: call.body.device_id,
        display_name: call.body.initial_device_display_name,
        refresh: call.body.refresh_token,
    };
    let issued = services
        .accounts
        .log_in(&user, credential, wish, &services.config.login)
        .await?;
    let mut response = login::v3::Response::new(user, issued.access_token, issued.device_id);
    response.refresh_token = issued.refresh_token;
    response.expires_in = issued.expires_in;
    let public = services.config.well_known.client.as_ref();
    response.well_known = public.map(|url| {
        DiscoveryInfo::new(HomeserverInfo::new(
            url.as_str().trim_end_matches('/').to_owned(),
        ))
    });
    Ok(response)
}

/// Old clients name the user in a field of its own.
fn named(
    services: &Services,
    identifier: Option<&UserIdentifier>,
    user: Option<&String>,
) -> Result<OwnedUserId> {
    match (identifier, user) {
        (Some(identifier), _) => identity::named_by(&services.accounts, identifier),
        (None, Some(user)) => identity::parse_local_user(&services.accounts, user),
        (None, None) => Err(Error::bad_request(
            ErrorKind::MissingParam,
            "A login needs an identifier",
        )),
    }
}

#[allow(deprecated, reason = "old clients still send `user`")]
async fn by_password(
    services: &Services,
    call: &Call<login::v3::Request>,
    shown: &Password,
) -> Result<(OwnedUserId, ProvenPassword)> {
    if !services.config.login.login_with_password {
        return Err(Error::bad_request(
            ErrorKind::Unknown,
            "This server takes no passwords",
        ));
    }
    let user = named(services, shown.identifier.as_ref(), shown.user.as_ref())?;
    let accounts = &services.accounts;
    let proven = accounts.prove_password(&user, &shown.password, &call.facts);
    if let Some(proven) = proven.await? {
        return Ok((user, proven));
    }
    // A password that is gone cannot be right; whoever owned the account is told why.
    if accounts
        .get(&user)?
        .is_some_and(|account| account.deactivated)
    {
        return Err(user_deactivated_error());
    }
    Err(Error::forbidden("Wrong user or password"))
}

#[allow(deprecated, reason = "old clients still send `user`")]
fn by_appservice(
    services: &Services,
    call: &Call<login::v3::Request>,
    named_by: &ApplicationService,
) -> Result<(OwnedUserId, Credential)> {
    let appservice = call.caller.as_ref().ok_or_else(|| {
        Error::refused(
            StatusCode::UNAUTHORIZED,
            ErrorKind::MissingToken,
            "Missing appservice token.",
        )
    })?;
    if manages_devices(appservice) {
        return Err(Error::bad_request(
            ErrorKind::AppserviceLoginUnsupported,
            "An appservice that makes devices itself does not log in",
        ));
    }
    let user = named(
        services,
        named_by.identifier.as_ref(),
        named_by.user.as_ref(),
    )?;
    let own = &services.config.server_name;
    if appservice.sender(own)? != user && !appservice.may_act_as(&user, own) {
        return Err(Error::bad_request(
            ErrorKind::Exclusive,
            "Username is not in an appservice namespace.",
        ));
    }
    Ok((user, Credential::Appservice(appservice.id().to_owned())))
}

fn may_log_in(services: &Services, user: &OwnedUserId, by_appservice: bool) -> Result<()> {
    match services.accounts.get(user)? {
        Some(account) if account.deactivated => Err(user_deactivated_error()),
        Some(account) if account.locked => Err(user_locked_error()),
        Some(_) => Ok(()),
        None if by_appservice => Err(Error::forbidden("This user has to be registered first")),
        None => Err(Error::forbidden("Wrong user or password")),
    }
}
