//! Versions of key backups. The keys in them are in [`super::backup_keys`].
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use ruma::{
    UInt,
    api::client::backup::{
        create_backup_version, delete_backup_version, get_backup_info, get_latest_backup_info,
        update_backup_version,
    },
    serde::Raw,
};

use crate::{
    error::Result,
    http::{Call, Routes},
    keys::backup,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(create)
        .add(latest)
        .add(get)
        .add(update)
        .add(delete)
}

async fn create(
    services: AppState,
    call: Call<create_backup_version::v3::Request>,
) -> Result<create_backup_version::v3::Response> {
    let number = backup::create(&services.keys, &call.caller.user_id, &call.body.algorithm).await?;
    Ok(create_backup_version::v3::Response::new(number.to_string()))
}

async fn latest(
    services: AppState,
    call: Call<get_latest_backup_info::v3::Request>,
) -> Result<get_latest_backup_info::v3::Response> {
    let (number, version) = backup::latest(&services.store, &call.caller.user_id)?;
    Ok(get_latest_backup_info::v3::Response::new(
        Raw::from_json(version.algorithm),
        UInt::new_saturating(version.count),
        version.etag.to_string(),
        number.to_string(),
    ))
}

async fn get(
    services: AppState,
    call: Call<get_backup_info::v3::Request>,
) -> Result<get_backup_info::v3::Response> {
    let (user, number) = (&call.caller.user_id, &call.body.version);
    let (number, version) = backup::version(&services.store, user, number)?;
    Ok(get_backup_info::v3::Response::new(
        Raw::from_json(version.algorithm),
        UInt::new_saturating(version.count),
        version.etag.to_string(),
        number.to_string(),
    ))
}

async fn update(
    services: AppState,
    call: Call<update_backup_version::v3::Request>,
) -> Result<update_backup_version::v3::Response> {
    let (user, body) = (&call.caller.user_id, &call.body);
    backup::update(&services.keys, user, &body.version, &body.algorithm).await?;
    Ok(update_backup_version::v3::Response::new())
}

async fn delete(
    services: AppState,
    call: Call<delete_backup_version::v3::Request>,
) -> Result<delete_backup_version::v3::Response> {
    backup::delete(&services.keys, &call.caller.user_id, &call.body.version).await?;
    Ok(delete_backup_version::v3::Response::new())
}
