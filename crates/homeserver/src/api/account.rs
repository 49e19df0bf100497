//! The account itself: its password, its end, and the addresses at which third parties know it, of which there are none here.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-management>

use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, change_password, deactivate, get_3pids,
};

use serde_json::json;

use super::untyped::{Json, Untyped};
use crate::{
    accounts::{HashRequester, uia},
    caller::{Caller, missing_token},
    error::{Error, Result},
    http::{Call, Routes},
    operations::deactivate::SentContent,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(password).add(end).add(third_party_ids)
}

async fn password(
    services: AppState,
    call: Call<change_password::v3::Request>,
) -> Result<change_password::v3::Response> {
    let caller = somebody(call.caller)?;
    let old = uia::authorize(
        &services.accounts,
        &caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await?;
    let accounts = &services.accounts;
    accounts
        .set_password(
            &caller.user_id,
            &call.body.new_password,
            &HashRequester::from(&call.facts),
            old.as_ref(),
        )
        .await?;
    if call.body.logout_devices {
        let keep = caller.device_id.as_deref();
        services
            .operations
            .delete_other_devices(&caller.user_id, keep)
            .await?;
    }
    Ok(change_password::v3::Response::new())
}

async fn end(
    services: AppState,
    call: Call<deactivate::v3::Request>,
) -> Result<deactivate::v3::Response> {
    let caller = somebody(call.caller)?;
    let shown = uia::authorize(
        &services.accounts,
        &caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await?;
    let content = if call.body.erase {
        SentContent::Erased
    } else {
        SentContent::Kept
    };
    services
        .operations
        .deactivate(&caller.user_id, content, shown.as_ref())
        .await?;
    Ok(deactivate::v3::Response::new(
        ThirdPartyIdRemovalStatus::NoSupport,
    ))
}

/// The list is always there, also when it is empty: clients read it without asking.
async fn third_party_ids(_: AppState, _: Call<Untyped<get_3pids::v3::Request>>) -> Result<Json> {
    Ok(Json(json!({ "threepids": [] })))
}

/// These endpoints work without a token where mail addresses prove who somebody is, which they do not here.
fn somebody(caller: Option<Caller>) -> Result<Caller> {
    let caller = caller.ok_or_else(missing_token)?;
    if caller.guest {
        return Err(Error::forbidden("Guests have no account to change"));
    }
    Ok(caller)
}
