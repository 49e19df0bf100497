//! Files: kept from everybody, given back, deleted.

use serde_json::json;

use super::{check_admin, endpoint};
use crate::{
    api::{untyped::Json, untyped_request::UntypedRequest},
    error::{Error, Result},
    http::{Call, Routes},
    services::{AppState, Services},
};

endpoint!(
    Quarantine,
    POST,
    "v1/media/quarantine/{server_name}/{media_id}"
);
endpoint!(
    Unquarantine,
    POST,
    "v1/media/unquarantine/{server_name}/{media_id}"
);
endpoint!(Delete, DELETE, "v1/media/{server_name}/{media_id}");

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(quarantine).add(unquarantine).add(delete)
}

async fn quarantine(services: AppState, call: Call<UntypedRequest<Quarantine>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    set(&services, call.body.path_args()?, true).await
}

async fn unquarantine(
    services: AppState,
    call: Call<UntypedRequest<Unquarantine>>,
) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    set(&services, call.body.path_args()?, false).await
}

async fn set(services: &Services, [server, id]: [String; 2], kept: bool) -> Result<Json> {
    check_own(services, &server)?;
    services.media.set_quarantined(&id, kept).await?;
    Ok(Json(json!({})))
}

async fn delete(services: AppState, call: Call<UntypedRequest<Delete>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let [server, id] = call.body.path_args()?;
    check_own(&services, &server)?;
    if !services.media.delete(&id).await? {
        return Err(unknown());
    }
    Ok(Json(json!({ "deleted_media": [id], "total": 1 })))
}

fn check_own(services: &Services, server: &str) -> Result<()> {
    if services.config.server_name == server {
        return Ok(());
    }
    Err(unknown())
}

fn unknown() -> Error {
    Error::not_found("There is no such file here: all files are of this server")
}
