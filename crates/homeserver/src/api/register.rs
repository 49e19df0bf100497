//! Making an account. What somebody has to prove for it is in the configuration: a registration token, nothing, or it is closed.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration>

use std::sync::Arc;

use http::StatusCode;
use rand::Rng;
use ruma::{
    UserId,
    api::{
        client::{
            account::{
                check_registration_token_validity, get_username_availability,
                register::{self, LoginType, RegistrationKind},
            },
            uiaa::{AuthFlow, AuthType},
        },
        error::ErrorKind,
    },
};

use super::omit_null::{OmitNull, WithNullsOmitted};
use crate::{
    accounts::{
        credential::Credential, devices::check_name, devices::manages_devices,
        existing::user_in_use_error, identity, registration_tokens, tokens::LoginOptions, uia,
    },
    appservices::Appservice,
    error::{Error, Result},
    http::{Call, Routes},
    operations::register::NewAccount,
    services::{AppState, Services},
};

/// The names of guests, and of people who do not choose one, are numbers below this.
const NUMBERED_NAMES: u64 = 1_000_000_000_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(register).add(available).add(token_validity)
}

async fn register(
    services: AppState,
    call: Call<WithNullsOmitted<register::v3::Request>>,
) -> Result<OmitNull<register::v3::Response>> {
    let call = Call {
        body: call.body.0,
        caller: call.caller,
        facts: call.facts,
    };
    let answer = match (&call.body.login_type, &call.body.kind) {
        (Some(LoginType::ApplicationService), _) => by_appservice(services, call).await,
        (_, RegistrationKind::Guest) => guest(services, call).await,
        _ => person(services, call).await,
    };
    answer.map(OmitNull)
}

async fn person(
    services: AppState,
    call: Call<register::v3::Request>,
) -> Result<register::v3::Response> {
    let body = &call.body;
    let user_id = match &body.username {
        Some(name) => {
            let user_id = identity::new_user_id(&services.accounts, name)?;
            not_reserved(&services, &user_id, None)?;
            user_id
        }
        None => identity::new_user_id(&services.accounts, &numbered_name())?,
    };
    let flows = flows(&services)?;
    free(&services, &user_id)?;
    let proof = uia::authorize_with(
        &services.accounts,
        None,
        &call.facts,
        body.auth.as_ref(),
        &flows,
    )
    .await?;
    let password = body.password.as_deref().ok_or_else(|| {
        Error::bad_request(ErrorKind::MissingParam, "An account needs a password")
    })?;
    let new = NewAccount {
        user_id,
        hash: Some(
            services
                .accounts
                .hash(password, &(&call.facts).into())
                .await?,
        ),
        guest: false,
        appservice: None,
        registration_token: proof.registration_token,
    };
    add_and_log_in(&services, call.body, new).await
}

async fn guest(
    services: AppState,
    call: Call<register::v3::Request>,
) -> Result<register::v3::Response> {
    if !services.config.registration.allow_guest_registration {
        return Err(Error::refused(
            StatusCode::FORBIDDEN,
            ErrorKind::GuestAccessForbidden,
            "This server takes no guests",
        ));
    }
    let new = NewAccount {
        user_id: identity::new_user_id(&services.accounts, &numbered_name())?,
        hash: None,
        guest: true,
        appservice: None,
        registration_token: None,
    };
    let mut body = register::v3::Request::new();
    body.initial_device_display_name = call.body.initial_device_display_name;
    add_and_log_in(&services, body, new).await
}

async fn by_appservice(
    services: AppState,
    call: Call<register::v3::Request>,
) -> Result<register::v3::Response> {
    let appservice = call.caller.as_ref().ok_or_else(|| {
        Error::refused(
            StatusCode::UNAUTHORIZED,
            ErrorKind::MissingToken,
            "Missing appservice token.",
        )
    })?;
    let name = call.body.username.as_ref().ok_or_else(|| {
        Error::bad_request(
            ErrorKind::MissingParam,
            "An appservice has to name the user",
        )
    })?;
    let user_id = identity::new_user_id(&services.accounts, name)?;
    if !appservice.may_act_as(&user_id, &services.config.server_name) {
        return Err(exclusive("Username is not in an appservice namespace."));
    }
    not_reserved(&services, &user_id, Some(appservice))?;
    free(&services, &user_id)?;
    if manages_devices(appservice) && !call.body.inhibit_login {
        return Err(Error::bad_request(
            ErrorKind::AppserviceLoginUnsupported,
            "An appservice that makes devices itself has to set inhibit_login",
        ));
    }
    let new = NewAccount {
        user_id,
        hash: None,
        guest: false,
        appservice: Some(appservice.id().to_owned()),
        registration_token: None,
    };
    add_and_log_in(&services, call.body, new).await
}

async fn add_and_log_in(
    services: &Services,
    body: register::v3::Request,
    new: NewAccount,
) -> Result<register::v3::Response> {
    // What the login would refuse is refused before there is an account.
    check_name(body.initial_device_display_name.as_deref())?;
    let mut response = register::v3::Response::new(new.user_id.clone());
    let appservice = new.appservice.clone();
    services.operations.register(new).await?;
    if body.inhibit_login {
        return Ok(response);
    }
    let wish = LoginOptions {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
    };
    let login = &services.config.login;
    let credential = appservice.map_or(Credential::NewAccount, Credential::Appservice);
    let issued = services
        .accounts
        .log_in(&response.user_id, credential, wish, login)
        .await?;
    response.access_token = Some(issued.access_token);
    response.device_id = Some(issued.device_id);
    response.refresh_token = issued.refresh_token;
    response.expires_in = issued.expires_in;
    Ok(response)
}

/// What somebody has to prove. A token that an admin issued opens a server that is closed otherwise, for whoever has it.
fn flows(services: &Services) -> Result<Vec<AuthFlow>> {
    let registration = &services.config.registration;
    let by_token = registration.allow_registration && registration.has_token();
    let stage = if registration.is_open() {
        AuthType::Dummy
    } else if by_token || services.accounts.good_registration_token()?.is_some() {
        AuthType::RegistrationToken
    } else {
        return Err(Error::forbidden("This server makes no new accounts"));
    };
    Ok(vec![AuthFlow::new(vec![stage])])
}

fn numbered_name() -> String {
    rand::rng().random_range(0..NUMBERED_NAMES).to_string()
}

/// Whether nobody has the name, and it is not forbidden.
fn free(services: &Services, user_id: &UserId) -> Result<()> {
    if services.accounts.exists(user_id)? || user_id.localpart() == identity::SERVER_USER {
        return Err(user_in_use_error());
    }
    let forbidden = &services.config.registration.forbidden_usernames;
    if forbidden.is_match(user_id.localpart()) {
        return Err(Error::bad_request(
            ErrorKind::InvalidUsername,
            "This user name is forbidden here",
        ));
    }
    Ok(())
}

fn not_reserved(services: &Services, user_id: &UserId, by: Option<&Arc<Appservice>>) -> Result<()> {
    if services
        .appservices
        .is_exclusive_user(user_id, by.map(|by| &**by))
    {
        return Err(exclusive("Username is reserved by an appservice."));
    }
    Ok(())
}

fn exclusive(text: &str) -> Error {
    Error::bad_request(ErrorKind::Exclusive, text)
}

async fn available(
    services: AppState,
    call: Call<get_username_availability::v3::Request>,
) -> Result<get_username_availability::v3::Response> {
    let user_id = identity::new_user_id(&services.accounts, &call.body.username)?;
    not_reserved(&services, &user_id, None)?;
    free(&services, &user_id)?;
    Ok(get_username_availability::v3::Response::new(true))
}

async fn token_validity(
    services: AppState,
    call: Call<check_registration_token_validity::v1::Request>,
) -> Result<check_registration_token_validity::v1::Response> {
    let valid =
        registration_tokens::check_shown_token(&services.accounts, &call.facts, &call.body.token)
            .await?;
    Ok(check_registration_token_validity::v1::Response::new(valid))
}
